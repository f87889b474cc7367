"""Where a model that goes on from round to round begins anew, and for how many epochs it is trained each time."""

from jaxal.config.training import TrainingConfig

__all__ = ["begins_anew", "epochs_of_round"]


def begins_anew(config: TrainingConfig, number: int) -> bool:
    """Tell whether the fit of a round begins with the initial variables, not with those that the round before kept."""
    if config.start == "restart" or number == 0:
        return True
    return config.restart_every > 0 and number % config.restart_every == 0


def epochs_of_round(config: TrainingConfig, number: int) -> int:
    """Count the epochs of a round's fit: extra_epochs more for each time that it has begun anew after round 0.

    A function of the round alone, so that a resumed run counts what it would have counted.

    >>> config = TrainingConfig(num_epochs=6, start="continue", restart_every=3, extra_epochs=1)
    >>> [epochs_of_round(config, number) for number in range(7)]
    [6, 6, 6, 7, 7, 7, 8]
    """
    return config.num_epochs + (config.extra_epochs * (number // config.restart_every) if config.restart_every else 0)
