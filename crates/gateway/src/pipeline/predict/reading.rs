//! A question out of its body: what it asks for, then its inputs, in two steps, because what a model takes is known
//! only once it was allowed.
//!
//! Small bodies are read on the lane. Larger ones are read aside, on the threads of the models, twice: reading takes
//! as long as it likes there, and no other request of the lane waits for it. What waits there is bounded by the room
//! that bodies hold, as each holds over [`LANE_BYTES_MAX`] of it until it was read, and in time: nobody waits longer
//! than `aside_timeout` of the options, and what nobody waits for any more is not read.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;
use tollgate_core::{code::Code, counters::Counters, serving::Served, tensor::Tensor};
use tollgate_wire::predict::{Infer, InputMistake, Question, Wanted, read_inputs};

use super::Of;
use crate::{denial::Denial, intake::Share, lane::Gateway};

/// Bodies up to this size are read on the lane: some 100 µs.
const LANE_BYTES_MAX: usize = 32 << 10;

/// A body, and what it holds of the room of the process.
pub(super) struct Body {
    bytes: Vec<u8>,
    _share: Share,
}

impl Body {
    pub(super) fn new((bytes, share): (Vec<u8>, Share)) -> Arc<Self> {
        Arc::new(Self { bytes, _share: share })
    }
}

/// What a question wants its answer to be.
pub(super) enum Reply {
    /// As `POST /api/v1/predict` is answered.
    Question,
    /// As the Open Inference Protocol has it.
    Infer(Wanted),
}

/// A question that was read.
enum Asked<'b> {
    Question(Question<'b>),
    Infer(Of<'b>, Infer<'b>),
}

impl<'b> Asked<'b> {
    /// Reads one; `of` says which model is asked where the path does.
    fn read(body: &'b [u8], of: Option<Of<'b>>) -> Result<Self, InputMistake> {
        Ok(match of {
            None => Self::Question(Question::read(body)?),
            Some(of) => Self::Infer(of, Infer::read(body)?),
        })
    }

    fn of(&self) -> Of<'_> {
        match self {
            Self::Question(question) => Of { model: &question.model, version: question.version.as_deref() },
            Self::Infer(of, _) => *of,
        }
    }

    fn inputs(self, served: &Served) -> Result<(Vec<Tensor>, Reply), InputMistake> {
        match self {
            Self::Question(question) => Ok((read_inputs(question.inputs, &served.inputs)?, Reply::Question)),
            Self::Infer(_, infer) => Ok((infer.inputs(&served.inputs)?, Reply::Infer(infer.wanted()))),
        }
    }
}

/// A question of which is known what it asks for.
pub(super) struct Outline<'b>(Read<'b>);

enum Read<'b> {
    Here(Asked<'b>),
    Aside(Arc<Body>, Name),
}

/// What a question asks for, apart from its body.
#[derive(Clone)]
struct Name {
    model: String,
    version: Option<String>,
    is_path: bool,
}

impl Name {
    fn new(of: Of<'_>, is_path: bool) -> Self {
        Self { model: of.model.to_owned(), version: of.version.map(str::to_owned), is_path }
    }

    fn of(&self) -> Of<'_> {
        Of { model: &self.model, version: self.version.as_deref() }
    }

    /// What the path says.
    fn path(&self) -> Option<Of<'_>> {
        self.is_path.then(|| self.of())
    }
}

impl<'b> Outline<'b> {
    /// Reads what is asked for; `of` says it where the path does.
    pub(super) async fn read<C: Counters + 'static>(
        gateway: &Gateway<C>,
        body: &'b Arc<Body>,
        of: Option<Of<'b>>,
    ) -> Result<Self, Denial> {
        if body.bytes.len() <= LANE_BYTES_MAX {
            return Ok(Self(Read::Here(Asked::read(&body.bytes, of).map_err(malformed)?)));
        }
        let (own, path) = (Arc::clone(body), of.map(|of| Name::new(of, true)));
        let patience = gateway.shared.options.aside_timeout;
        let name = aside(gateway, patience, move || match path {
            Some(path) => Asked::read(&own.bytes, Some(path.of())).map(|_| path.clone()),
            None => Asked::read(&own.bytes, None).map(|asked| Name::new(asked.of(), false)),
        });
        let name = name.await?.map_err(malformed)?;
        Ok(Self(Read::Aside(Arc::clone(body), name)))
    }

    /// Which model is asked.
    pub(super) fn of(&self) -> Of<'_> {
        match &self.0 {
            Read::Here(asked) => asked.of(),
            Read::Aside(_, name) => name.of(),
        }
    }

    /// Reads the inputs.
    pub(super) async fn inputs<C: Counters + 'static>(
        self,
        gateway: &Gateway<C>,
        served: &Arc<Served>,
    ) -> Result<(Vec<Tensor>, Reply), Denial> {
        let read = match self.0 {
            Read::Here(asked) => asked.inputs(served),
            Read::Aside(body, name) => {
                let (served, timeout) = (Arc::clone(served), served.model.spec.timeout().to_std());
                let read = move || Asked::read(&body.bytes, name.path())?.inputs(&served);
                // It holds a place of its model.
                let patience = gateway.shared.options.aside_timeout.min(timeout);
                aside(gateway, patience, read).await?
            }
        };
        read.map_err(invalid)
    }
}

/// Does something on the threads of the models, which has to be done within this time.
async fn aside<C: Counters + 'static, T: Send + 'static>(
    gateway: &Gateway<C>,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Denial> {
    let (tell, told) = oneshot::channel();
    gateway.shared.models.aside(Box::new(move || {
        // Who asked may have left, before and meanwhile.
        if !tell.is_closed() {
            let _heard = tell.send(work());
        }
    }));
    match tokio::time::timeout(patience, told).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_gone)) => Err(Denial::new(Code::ModelUnavailable, "this node runs no models now; ask again")),
        Err(_late) => {
            let detail = "too many large questions wait to be read; send this one again";
            Err(Denial::new(Code::Overloaded, detail).wait_ns(1_000_000_000))
        }
    }
}

fn malformed(mistake: InputMistake) -> Denial {
    Denial::new(Code::MalformedRequest, mistake.to_string())
}

/// Refuses inputs.
pub(super) fn invalid(mistake: InputMistake) -> Denial {
    Denial::new(Code::InputsInvalid, mistake.to_string())
}
