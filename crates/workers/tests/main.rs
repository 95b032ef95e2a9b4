//! The promises of `workers`, on a real SQLite file and a real journal, with a clock moved by hand.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod rehash;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod remind;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod seal;
#[cfg(test)]
mod ship;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod usage_in;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod world;
