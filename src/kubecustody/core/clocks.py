"""How far a cluster's clock is from this server's, and what follows from it.

An API server judges certificates by its own clock, and what is said here of them goes by this server's. A skew is by
how many seconds the cluster's clock is ahead; less than 0 where it is behind.
"""

TOLERATED_SECONDS = 30
_MOST_BEHIND_SECONDS = 86_400  # a cluster's word moves what is done here by no more than this


def skew_between(there: int, before: float, after: float) -> int:
    """The skew of a clock that said `there`, in whole seconds, between these two moments; 0 where it may have none."""
    if there > after:
        return round(there - after)
    return min(0, round(there + 1 - before))


def is_tolerated(skew: int | None) -> bool:
    """Whether nothing need be said of it; also where none is known."""
    return skew is None or abs(skew) <= TOLERATED_SECONDS


def seconds_behind(skew: int | None) -> int:
    """By how much longer than is said here the cluster takes a certificate, a day at most; 0 for what is tolerated."""
    return 0 if is_tolerated(skew) else min(_MOST_BEHIND_SECONDS, max(0, -(skew or 0)))


def tell_skew(skew: int) -> str:
    """The clocks' difference for a message, as "3600 s ahead of this server's"."""
    return f"{abs(skew)} s {'ahead of' if skew > 0 else 'behind'} this server's"


def find_clock_obstacle(skew: int | None, life_seconds: int, *, signs_itself: bool) -> str | None:
    """Why what is issued for so long would be of no use; None where the clocks do not keep it from being of some.

    signs_itself: the cluster issues, by its own clock, so that what is issued ends here too soon where that is behind;
    else this server does, so that it ends there too soon where that is ahead.
    """
    if skew is None or is_tolerated(skew) or life_seconds > (-skew if signs_itself else skew):
        return None
    where = "here" if signs_itself else "there"
    return (
        f"its clock is {tell_skew(skew)}, so that what lives for {life_seconds} s would be over {where} at once. Let "
        "both follow the same time (NTP) and test the cluster again (`kubecustody clusters test`), or ask for longer."
    )
