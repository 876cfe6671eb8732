"""Pictures by the million: a list of names, parts of answers, and whatever engine works them off (extra `cluster`)."""
