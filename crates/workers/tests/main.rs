//! The promises of `workers`, on a real SQLite file and a real journal, with a clock moved by hand.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod rehash;
mod remind;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod seal;
mod ship;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod world;
