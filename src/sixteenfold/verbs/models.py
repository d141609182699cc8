"""`models`: what is shipped."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Models:
    """List the shipped models, with their cards."""

    def run(self) -> int:
        """Print the cards, the default model's first, and return the exit status."""
        from sixteenfold.networks import zoo

        for name in zoo.names():
            card = zoo.card(name)
            print(f"{name}: {card.purpose}")
            print(f"  shape    {card.shape}")
            print(f"  trained  {card.recipe}; {card.steps:,} steps; {card.hardware}")
            print(f"  data     {card.data}")
            if card.fidelity_partner is not None:
                print(f"  mixes    --fidelity 0..1 mixes in {card.fidelity_partner}")
            for title, lines in (("licence", card.licences), ("fails", card.known_failures)):
                print(*(f"  {title:8} {line}" for line in lines), sep="\n")
            print(*(f"  figure   {what}: {value:g}" for what, value in card.figures.items()), sep="\n")
        return 0
