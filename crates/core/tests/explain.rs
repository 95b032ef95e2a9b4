//! A denial explains itself: the trace agrees with the decision, and with what is stored of it.

use tollgate_core::{
    admit::{Case, admit},
    blocks::Blocks,
    code::Code,
    explain::{Step, StepOutcome, trace, trace_of_record},
    facts::Facts,
    keyring::KeyRecord,
};

use crate::fixture::{Memory, NOON_US, NOW, policy, record, service};

fn shown(steps: &[Step]) -> String {
    let lines: Vec<String> = steps
        .iter()
        .map(|step| format!("{:<11} {:<10?} {}", step.check, step.outcome, step.detail).trim_end().to_owned())
        .collect();
    lines.join("\n")
}

#[test]
fn a_trace_names_every_check_up_to_the_one_that_decides() {
    let tiles = service("environment = 'live'");
    let own = policy(
        "scopes = ['read']\nendpoints = ['GET /tiles/**']\nallow_ips = ['10.0.0.0/8']\nmax_concurrency = 9\n\
         limit = [{ name = 'burst', amount = 1, window = '1m' }]\n\
         quota = [{ name = 'monthly', amount = 1000, period = 'month', per = 'consumer' }]",
    );
    let key = KeyRecord { expires_us: NOON_US + 1, ..record() };
    let counters = Memory::default();
    let good = Facts {
        service: Some(&tiles),
        method: Some("GET"),
        path: Some("/tiles/1"),
        address: Some([10, 1, 2, 3].into()),
        cost: 1,
        ..Facts::default()
    };
    let foreign = Facts { address: Some([11, 1, 2, 3].into()), ..good };
    let mut texts = Vec::new();
    for (name, facts) in
        [("allowed", &good), ("refused by the limit", &good), ("refused by address", &foreign)]
    {
        let case = Case { facts, record: &key, policy: Some(&own), blocks: Blocks::NONE, now: NOW };
        let decision = admit(case, &counters);
        let steps = trace(case, &decision);
        let stored = trace_of_record(
            decision.code,
            (decision.configured.0, decision.passed.0),
            decision.detail.as_deref().unwrap_or(""),
        );
        let outcomes =
            |steps: &[Step]| steps.iter().map(|step| (step.check, step.outcome)).collect::<Vec<_>>();
        assert_eq!(outcomes(&steps), outcomes(&stored), "{name}");
        let failed: Vec<_> = steps.iter().filter(|step| step.outcome == StepOutcome::Failed).collect();
        assert_eq!(failed.len(), usize::from(!decision.is_allowed()));
        assert_eq!(failed.first().map(|step| step.detail.as_str()), decision.detail.as_deref());
        texts.push(format!("{name}\n{}", shown(&steps)));
    }
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn what_no_check_refused_is_a_step_of_its_own() {
    let before = trace_of_record(Code::KeyUnknown, (0, 0), "no such key");
    assert_eq!((before[0].check, before[0].outcome), ("request", StepOutcome::Failed));
    assert_eq!(before[0].detail, "no such key");
    assert!(before[1..].iter().all(|step| step.outcome == StepOutcome::NotReached));
    let behind = trace_of_record(Code::UpstreamTimeout, (1, 1), "too slow");
    let last = behind.last().unwrap();
    assert_eq!((last.check, last.outcome), ("request", StepOutcome::Failed));
    assert_eq!(behind[0].outcome, StepOutcome::Passed);
    assert!(trace_of_record(Code::Valid, (1, 1), "").iter().all(|step| step.check != "request"));
}
