//! `posthaste demo`: the server with a simulated city on it, which uses it as anybody would: over REST and sockets.

use posthaste_domain::Span;
use posthaste_domain::place::Place;
use posthaste_live::stopping::Leave;
use posthaste_sim::city::{self, CityOptions};

use crate::cli::DemoArgs;
use crate::configuration::Mode;
use crate::replay::tokens;
use crate::run::{Server, told_to_stop};
use crate::{Fatal, listening, telemetry, token_key};

/// Product seconds in a real second, where nothing else is asked for: an order takes a minute or two to watch.
const CLOCK_SPEED: f64 = 10.0;
/// The middle of the city.
const CENTRE: (f64, f64) = (52.52, 13.405);

pub(crate) async fn demo(args: DemoArgs) -> Result<(), Fatal> {
    let configuration = args.overrides.resolve(token_key::DEMO, CLOCK_SPEED, Mode::Development)?;
    if !configuration.is_development() {
        return Err("the demo's people have tokens of development: it runs in that mode only".into());
    }
    let log = configuration.program.data_dir.join("demo.log");
    telemetry::to_file(&configuration, &log)?;
    eprintln!("starting; the log is in {}", log.display());
    let server = Server::start(&configuration, listening::bind(&configuration).await?).await?;
    let url = format!("http://{}", server.address);
    eprintln!("serving on {url}  ·  API: {url}/docs  ·  clock: {} times real time  ·  Ctrl-C stops", server.speed());
    let centre = Place::new(CENTRE.0, CENTRE.1)?;
    let mut options = CityOptions::new(url, tokens(&server.keys), centre);
    options.seed = args.seed;
    options.drivers = args.drivers as usize;
    options.orders_per_hour = args.orders_per_hour;
    options.duration = args.duration.map(|real| Span::from_std(real.mul_f64(server.speed()))).transpose()?;
    options.progress = true;
    let stats = std::sync::Arc::clone(&options.stats);
    let outcome = tokio::select! {
        outcome = city::run(options) => outcome,
        () = told_to_stop() => Ok(stats.report()),
        () = server.lost_the_lead() => return Err(server.leave_to_another().await),
    };
    eprintln!("stopping");
    server.stop(Leave::InOrder).await?;
    println!("{}", outcome?);
    Ok(())
}
