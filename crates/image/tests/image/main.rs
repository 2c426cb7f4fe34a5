//! What the packer makes of a program. `check.sh` beside it judges the image of the real one.

mod pack_test;
