//! From where and with what somebody calls, for the throttle and for the list of sessions.

use std::{convert::Infallible, net::IpAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{header, request::Parts},
};
use tollgate_core::address::client_address;

use crate::state::{App, Peer};

/// Who is at the other end, as far as it can be told without a sign-in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The address of the client.
    pub(crate) address: IpAddr,
    /// How the browser calls itself.
    pub(crate) user_agent: String,
}

impl Caller {
    /// Who is at the other end of a request.
    pub(crate) fn of(parts: &Parts, app: &App) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(Peer(address))| *address);
        let forwarded = parts.headers.get_all("x-forwarded-for").iter();
        let forwarded: Vec<&str> = forwarded.filter_map(|line| line.to_str().ok()).collect();
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        Self {
            address: client_address(peer, &app.options().trusted_proxies, forwarded.into_iter()),
            user_agent: user_agent.unwrap_or_default().to_owned(),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of(parts, app))
    }
}
