//! `tollgate models …`: what is registered, and whether a file can be used.

use std::path::Path;

use serde::Serialize;
use tollgate_core::{
    predict_spec::{ModelSpec, SampleSpec},
    tensor::{Tensor, TensorSpec},
};
use tollgate_inference::Checked;

use crate::{
    cli::{CheckArgs, Global, ModelsCommand},
    context::Context,
    failure::Failure,
    model_file::{problem_in_words, read},
    print::{self, Printer},
};

#[derive(Serialize)]
struct Listed {
    models: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    project: String,
    name: String,
    version: String,
    aliases: Vec<String>,
    source: String,
    /// Of a file: whether it can be used here.
    usable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct Examined {
    file: String,
    inputs: Vec<End>,
    outputs: Vec<End>,
    /// Whether requests that wait at the same time can be joined.
    joinable: bool,
    /// What it gave when it was tried.
    sample: Vec<Given>,
    /// How long it took, when it was run again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<Took>,
}

#[derive(Serialize)]
struct Took {
    median_us: f64,
    p99_us: f64,
}

#[derive(Serialize)]
struct End {
    name: String,
    datatype: &'static str,
    /// The length of each axis; -1 any.
    shape: Vec<i64>,
}

#[derive(Serialize)]
struct Given {
    name: String,
    shape: Vec<usize>,
}

pub(crate) async fn run(context: &Context, command: ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::List => list(context).await,
        ModelsCommand::Check(args) => examine(&context.printer, &args),
    }
}

/// Looks at a file; needs neither configuration nor database.
pub(crate) fn check(global: &Global, args: &CheckArgs) -> Result<(), Failure> {
    examine(&Printer::new(global.output), args)
}

async fn list(context: &Context) -> Result<(), Failure> {
    let store = context.store().await?;
    let models = store.export().await?.models;
    let models = models.into_iter().map(|spec| {
        let problem = problem_in_words(&spec);
        Shown {
            source: source_of(&spec),
            usable: spec.file.is_some().then_some(problem.is_none()),
            problem,
            project: spec.project,
            name: spec.name,
            version: spec.version,
            aliases: spec.aliases,
        }
    });
    let listed = Listed { models: models.collect() };
    let row = |shown: &Shown| {
        let is = match (&shown.problem, shown.usable) {
            (Some(problem), _) => problem.clone(),
            (None, Some(_)) => "usable".to_owned(),
            (None, None) => "remote".to_owned(),
        };
        let name = format!("{}/{}", shown.project, shown.name);
        [name, shown.version.clone(), shown.aliases.join(", "), shown.source.clone(), is]
    };
    context.printer.result(&listed, || {
        print::table(["model", "version", "aliases", "source", "is"], listed.models.iter().map(row))
    })
}

fn source_of(spec: &ModelSpec) -> String {
    match (&spec.file, &spec.remote) {
        (Some(file), _) => file.clone(),
        (None, Some(remote)) => remote.url.clone(),
        (None, None) => String::new(),
    }
}

fn examine(printer: &Printer, args: &CheckArgs) -> Result<(), Failure> {
    let bytes = read(&args.file).map_err(Failure::failed)?;
    let sample: Option<SampleSpec> = match (&args.trial, &args.sample) {
        (Some(trial), _) => serde_json::from_str(trial)
            .map_err(|error| Failure::Usage(format!("--trial is not what a node sends: {error}")))?,
        (None, Some(inputs)) => Some(SampleSpec { inputs: inputs.clone(), ..SampleSpec::default() }),
        (None, None) => None,
    };
    let checked = tollgate_inference::check(&bytes, sample.as_ref()).map_err(Failure::failed)?;
    if args.trial.is_some() {
        return Ok(());
    }
    let mut examined = Examined::of(&args.file, &checked);
    if args.repeat > 0 {
        let took = tollgate_inference::rehearse(&bytes, sample.as_ref(), args.repeat, crate::clock::mono_ns);
        examined.took = Took::of(took.map_err(Failure::failed)?);
    }
    printer.result(&examined, || {
        let ends = examined.inputs.iter().map(|end| ("takes", end));
        let ends = ends.chain(examined.outputs.iter().map(|end| ("gives", end)));
        let rows = ends.map(|(does, end)| {
            [does.to_owned(), end.name.clone(), end.datatype.to_owned(), format!("{:?}", end.shape)]
        });
        let joins = if examined.joinable { "can" } else { "cannot" };
        let tried = if examined.sample.is_empty() {
            "It was not tried: say a --sample that it takes.".to_owned()
        } else {
            let gave = examined.sample.iter().map(|given| format!("{} {:?}", given.name, given.shape));
            format!("It was tried and gave {}.", gave.collect::<Vec<_>>().join(", "))
        };
        let table = print::table(["", "name", "datatype", "shape"], rows);
        let took = examined.took.as_ref().map_or_else(String::new, |took| {
            format!(
                " Runs took {:.1} µs at the median, 99 of 100 at most {:.1} µs.",
                took.median_us, took.p99_us
            )
        });
        format!("{table}\n\n{tried}{took} Requests {joins} be joined.")
    })
}

impl Examined {
    fn of(file: &Path, checked: &Checked) -> Self {
        let given = |(name, tensor): &(Box<str>, Tensor)| Given {
            name: name.to_string(),
            shape: tensor.shape.clone(),
        };
        Self {
            file: file.display().to_string(),
            inputs: checked.inputs.iter().map(End::of).collect(),
            outputs: checked.outputs.iter().map(End::of).collect(),
            joinable: checked.is_joinable,
            sample: checked.sample.iter().map(given).collect(),
            took: None,
        }
    }
}

impl Took {
    /// Of runs in nanoseconds; nothing of none.
    fn of(mut runs_ns: Vec<u64>) -> Option<Self> {
        runs_ns.sort_unstable();
        let within = |percent: usize| {
            let place = (runs_ns.len() * percent).div_ceil(100).saturating_sub(1);
            runs_ns.get(place).map(|nanos| *nanos as f64 / 1e3)
        };
        Some(Self { median_us: within(50)?, p99_us: within(99)? })
    }
}

impl End {
    fn of(spec: &TensorSpec) -> Self {
        let axis =
            |length: &Option<usize>| length.map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX));
        Self {
            name: spec.name.to_string(),
            datatype: spec.kind.name(),
            shape: spec.shape.iter().map(axis).collect(),
        }
    }
}
