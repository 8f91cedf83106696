//! An engine of an ordinary user, from nothing: the user is made for the test, and only the test's own mount namespace knows him.
//! Needs root, busybox-static and uidmap.

mod engine;
mod world;
