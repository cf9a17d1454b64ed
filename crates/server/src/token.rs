//! `posthaste token`: an access token for development on stdout. A server in production refuses it.

use posthaste_clock::Clock;
use posthaste_domain::Span;
use posthaste_domain::party::Party;

use crate::Fatal;
use crate::cli::{Holder, TokenArgs};
use crate::configuration::Mode;
use crate::token_key;

pub(crate) fn token(args: &TokenArgs) -> Result<(), Fatal> {
    let configuration = args.overrides.clone().resolve("", 1.0, Mode::Production)?;
    if !configuration.is_development() {
        return Err("such tokens are for development: set POSTHASTE_MODE=development here and for the server. In \
                    production people sign in, and `posthaste admin create` makes the first admin"
            .into());
    }
    let keys = token_key::keys_of_the_server(&configuration)?;
    let clock = Clock::system();
    let party = match args.holder {
        Holder::Known(party) => party,
        Holder::NewAdmin => Party::Admin(clock.id()),
        Holder::NewMerchant => Party::Merchant(clock.id()),
        Holder::NewCustomer => Party::Customer(clock.id()),
    };
    let valid_for = Span::from_std(args.valid_for)?;
    eprintln!("{party}, valid for {} s", valid_for.num_seconds());
    println!("{}", keys.mint(party, clock.wall(), valid_for)?);
    Ok(())
}
