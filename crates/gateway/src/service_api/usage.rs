//! `POST /v1/usage`: what a service reports of requests that it served itself (CONTRACT §5).
//!
//! A report is read and handed to the port, which keeps and counts it whole or not at all. No decision is made
//! here, and none is journalled: the records of the report are what happened.

use tollgate_core::{
    code::Code,
    counters::Counters,
    event::{NotTaken, Taken},
    usage_report::{REPORT_BYTES_MAX, Wrong, read},
};
use tollgate_wire::{codes::entry, text::push_number};

use super::{
    ServiceApi,
    mistake::Mistake,
    token,
    verify::{json, whole_body},
};
use crate::{
    http::{answer::Answer, exchange::Exchange},
    intake::{NotReported, UsageReport},
};

impl<C: Counters + 'static> ServiceApi<C> {
    pub(super) async fn usage(&self, mut exchange: Exchange) -> Result<Answer, Mistake> {
        let token = token::of_bearer(&exchange.head, &self.gateway.tables().tables)?;
        if self.gateway.check_fresh(self.gateway.now()).is_err() {
            return Err(Mistake::new(entry(Code::AuthStale), "").retry_after(1));
        }
        let body = whole_body(&mut exchange, REPORT_BYTES_MAX).await?;
        let mut report = serde_json::Deserializer::from_slice(&body);
        let requests = read(&mut report).map_err(wrong)?;
        report.end().map_err(|error| wrong(Wrong::Body(error.to_string())))?;
        if requests.is_empty() {
            return Ok(receipt(0, 0));
        }
        let report = UsageReport { tenant: token.tenant, services: token.services.clone(), requests };
        match self.gateway.shared.intake.report(report).await {
            Ok(Taken { accepted, duplicates, .. }) => Ok(receipt(accepted, duplicates)),
            Err(NotReported::Wrong(why)) => Err(wrong(why)),
            Err(NotReported::NotTaken(NotTaken::Overloaded { why, retry_after_s })) => {
                Err(Mistake::new(entry(Code::Overloaded), why).retry_after(retry_after_s))
            }
            Err(NotReported::NotTaken(_)) => Err(Mistake::new(
                entry(Code::Overloaded),
                "the report could not be made durable; whether it was counted is not known, so send it again with the \
                 same ids",
            )
            .retry_after(1)),
        }
    }
}

fn receipt(accepted: u64, duplicates: u64) -> Answer {
    let mut body = b"{\"accepted\":".to_vec();
    push_number(&mut body, accepted);
    body.extend_from_slice(b",\"duplicates\":");
    push_number(&mut body, duplicates);
    body.push(b'}');
    json(body)
}

fn wrong(why: Wrong) -> Mistake {
    match why {
        Wrong::Body(_) => Mistake::malformed(why.to_string()),
        Wrong::TooMany => Mistake::new(entry(Code::BodyTooLarge), why.to_string()),
        Wrong::Request { .. } => Mistake::new(entry(Code::RecordInvalid), why.to_string()),
    }
}
