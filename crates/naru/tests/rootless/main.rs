//! An engine of an ordinary user, from nothing: the user is made for the test, and only the test's own mount namespace knows him.
//! Needs root, busybox-static, iproute2 and uidmap; for networks passt and slirp4netns.

mod engine;
mod networks;
mod world;
