//! Images as recipes state them, built from a Debian in miniature: real scripts under a real dpkg, without a network.

mod alone;
mod brought;
mod debconf;
mod failed;
mod lab;
mod names;
mod paths;
mod secrets;
mod strict;
mod users;
