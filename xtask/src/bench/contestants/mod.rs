//! The servers that are measured, one file each: how to install, configure and start it.
//!
//! Every one of them proxies to the same upstream with keep-alive on both sides and writes no access log.

pub(super) mod envoy;
pub(super) mod haproxy;
pub(super) mod litellm;
pub(super) mod models;
pub(super) mod nginx;
pub(super) mod nginx_auth;
pub(super) mod portkey;
pub(super) mod tollgate;
pub(super) mod upstream;
