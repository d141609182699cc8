import pytest
import torch

from sixteenfold.networks.discriminator import Stage, UNetDiscriminator
from sixteenfold.networks.generator import parameter_count

TINY = (4, 4, 6, 6, 8, 8)


def test_the_factsheet_s_size() -> None:
    with torch.device("meta"):
        assert parameter_count(UNetDiscriminator()) == 12_823_810


def test_groups_have_sixteen_channels_where_they_divide() -> None:
    """Else fewer groups of more; less than thirty-two channels are one."""
    with torch.device("meta"):
        stages = [module for module in UNetDiscriminator().modules() if isinstance(module, Stage)]
        odd = {width: Stage(3, width).norm1.num_groups for width in (2, 16, 31, 32, 40, 48, 50, 100)}
    norms = [norm for stage in stages for norm in (stage.norm1, stage.norm2)]
    assert len(norms) == 24 and all(norm.num_groups * 16 == norm.num_channels for norm in norms)
    assert odd == {2: 1, 16: 1, 31: 1, 32: 2, 40: 2, 48: 3, 50: 1, 100: 2}


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminator()
    output = network(torch.rand(2, 3, 64, 64))
    (output.encoder.square().sum() + output.decoder.square().sum()).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-7]
    assert silent == []


def test_shapes() -> None:
    output = UNetDiscriminator(TINY)(torch.rand(2, 3, 64, 128))
    assert output.encoder.shape == (2, 1, 1, 2)
    assert output.decoder.shape == (2, 1, 64, 128)
    assert [tuple(f.shape[1:]) for f in output.features] == [
        (4, 32, 64),
        (4, 16, 32),
        (6, 8, 16),
        (6, 4, 8),
        (8, 2, 4),
        (8, 1, 2),
        (8, 2, 4),
        (6, 4, 8),
        (6, 8, 16),
        (4, 16, 32),
        (4, 32, 64),
        (2, 64, 128),
    ]


def test_a_picture_is_judged_by_itself() -> None:
    """So that the parts of a batch may be judged apart: in smaller batches, in several processes."""
    torch.manual_seed(0)
    network, pictures = UNetDiscriminator(TINY), torch.rand(3, 3, 64, 64)
    together, alone = network(pictures), network(pictures[1:2])
    assert torch.allclose(together.encoder[1:2], alone.encoder, atol=1e-6)
    assert torch.allclose(together.decoder[1:2], alone.decoder, atol=1e-6)


def test_brightness_is_seen() -> None:
    """Normalisation alone would hide it."""
    torch.manual_seed(0)
    network, picture = UNetDiscriminator(TINY), torch.rand(1, 3, 64, 64) * 0.5
    assert (network(picture).decoder - network(picture + 0.4).decoder).abs().mean() > 1e-2


def test_a_change_is_judged_where_it_is() -> None:
    torch.manual_seed(0)
    network, picture = UNetDiscriminator(TINY), torch.rand(1, 3, 128, 128)
    changed = picture.clone()
    changed[..., :32, :32] = 1 - changed[..., :32, :32]
    difference = (network(picture).decoder - network(changed).decoder).abs()
    assert difference[..., :32, :32].mean() > 5 * difference[..., 96:, 96:].mean()


def test_without_decoder_it_is_the_same_encoder() -> None:
    whole, encoder = UNetDiscriminator(TINY), UNetDiscriminator(TINY, decoder=False)
    names = {name for name in whole.state_dict() if name.startswith(("down.", "encoder_head."))}
    assert set(encoder.state_dict()) == names
    encoder.load_state_dict({name: whole.state_dict()[name] for name in names})
    picture = torch.rand(1, 3, 64, 128)
    expected, output = whole(picture), encoder(picture)
    assert output.decoder is None
    assert [head.shape for head in output.logits] == [(1, 1, 1, 2)]
    assert torch.equal(output.encoder, expected.encoder)
    assert all(torch.equal(a, b) for a, b in zip(output.features, expected.features[:6], strict=True))


def test_sides_that_do_not_halve() -> None:
    with pytest.raises(ValueError, match="divisible by 64"):
        UNetDiscriminator(TINY)(torch.rand(1, 3, 96, 64))
