//! `rebuild`: makes the state of a directory anew, and says what came of it.

use super::{
    args::{Format, Rebuild},
    out::{Outcome, print, print_json},
    serve::{load_config, run_daemon, start_log},
};
use crate::app::{self, Rebuilt};

pub(super) fn rebuild(args: &Rebuild, format: Format) -> anyhow::Result<Outcome> {
    start_log(&args.log_level, Format::Text)?;
    let mut config = load_config(args.config.as_deref())?;
    if let Some(dir) = &args.data_dir {
        config.store.dir.clone_from(dir);
    }
    run_daemon(async {
        let rebuilt = app::rebuild(config).await?;
        match format {
            Format::Text => print(&text(rebuilt))?,
            Format::Json => print_json(&rebuilt)?,
        }
        Ok(Outcome::Fine)
    })
}

fn text(Rebuilt { events, late, incidents }: Rebuilt) -> String {
    let late = match late {
        0 => "none of which had come late".to_owned(),
        late => format!("{late} of which had come late and count now"),
    };
    format!("made the state anew of {events} events, {late}: {incidents} incidents\n")
}
