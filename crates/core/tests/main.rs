//! The promises of `core`, one module per topic. Nothing here waits, sleeps or touches a network.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod affording;
#[cfg(test)]
mod authz;
#[cfg(test)]
mod blocking;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod holders;
#[cfg(test)]
mod ids;
#[cfg(test)]
mod keyring;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod llm_services;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod money;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod patterns;
#[cfg(test)]
mod periods;
#[cfg(test)]
mod recognition;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod urls;
