"""Prints, for each time zone named on standard input, each change of its offset between two instants: zone, instant, offset.

The zones are those of the package tzdata, and nothing of this machine.
"""

import sys
import zoneinfo
from datetime import datetime, timedelta, timezone

zoneinfo.reset_tzpath(to=[])
first, last = int(sys.argv[1]), int(sys.argv[2])
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Zones keep an offset for four days at least.
STEP = 2 * 86400

for name in sys.stdin.read().split():
    zone = zoneinfo.ZoneInfo(name)

    def offset(at):
        return int((EPOCH + timedelta(seconds=at)).astimezone(zone).utcoffset().total_seconds())

    before = offset(first)
    print(name, first, before)
    for at in range(first, last, STEP):
        after = offset(at + STEP)
        if after != before:
            low, high = at, at + STEP
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if offset(middle) == after else (middle, high)
            print(name, high, after)
            before = after
