//! `backtest`: measures answers on recorded incidents, beside simpler ways to answer.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{
    args::{At, Backtest, Format},
    files::read_text,
    out::{Outcome, Progress, print, print_json},
    replay::read_rules,
    serve::load_config,
    text::{Column, Page, terminal_width},
};
use crate::{
    backtest::{Course, Measure, Report, Subject, Trial, courses, follow, judge},
    correlate::Model,
    wire::case::{Case, Truth},
};

/// What was measured as of one moment.
struct Section {
    name: String,
    trials: Vec<Trial>,
    report: Report,
    /// What the other rules said of the same cases.
    compared: Option<Vec<Trial>>,
}

pub(super) fn backtest(args: &Backtest, format: Format) -> anyhow::Result<Outcome> {
    let subjects = read_subjects(&args.paths)?;
    let mut model = load_config(args.config.as_deref())?.model;
    if let Some(dir) = &args.rules {
        model.rules = read_rules(dir)?;
    }
    let other = match &args.compare {
        Some(dir) => Some(Model { rules: read_rules(dir)?, ..model.clone() }),
        None => None,
    };
    let alerts: usize = subjects.iter().map(|subject| subject.truth.alerts.len()).sum();
    let (mut sections, mut took) = (Vec::new(), Duration::ZERO);
    for At(name, moment) in &args.moments() {
        let started = Instant::now();
        let trials = in_parallel(&subjects, name, &|subject| judge(&model, subject, *moment));
        took += started.elapsed();
        let compared = other.as_ref().map(|other| {
            in_parallel(&subjects, "the other rules", &|subject| judge(other, subject, *moment))
        });
        let report = Report::of(&trials);
        sections.push(Section { name: name.clone(), trials, report, compared });
    }
    let followed = if args.course {
        let caused: Vec<_> =
            subjects.into_iter().filter(|one| one.truth.by_change && !one.is_latent()).collect();
        Some(in_parallel(&caused, "from first to last", &|subject| follow(&model, subject)))
    } else {
        None
    };
    let judged = alerts * sections.len();
    let cost = took.as_micros() / u128::try_from(judged.max(1)).unwrap_or(1);
    match format {
        Format::Text => print(&page(&sections, followed.as_deref(), cost, args).into_text())?,
        Format::Json => print_json(&json(&sections, followed.as_deref(), cost))?,
    }
    Ok(Outcome::Fine)
}

fn read_subjects(paths: &[PathBuf]) -> anyhow::Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for path in paths {
        for file in cases_in(path)? {
            let text = read_text(&file)?;
            let wrong = || format!("cannot use {}", file.display());
            let case = Case::parse(text.as_bytes()).with_context(wrong)?;
            let truth = Truth::parse(text.as_bytes()).with_context(wrong)?;
            subjects.push(Subject { name: case.id.clone(), case, truth });
        }
    }
    if subjects.is_empty() {
        bail!("no case files there");
    }
    Ok(subjects)
}

/// The file, or the case files below the directory, in the order of their names.
fn cases_in(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = path.read_dir().with_context(|| format!("cannot read {}", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.with_context(|| format!("cannot read {}", path.display()))?.path();
        if file.is_dir() {
            files.extend(cases_in(&file)?);
        } else if file.extension().is_some_and(|end| end == "json") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// What `work` makes of each, in their order, on all cores.
fn in_parallel<T: Sync, R: Send>(
    things: &[T],
    what: &str,
    work: &(dyn Fn(&T) -> R + Sync),
) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(things.len().max(1));
    let done = Mutex::new((Progress::new(), 0));
    let tell = || {
        if let Ok(mut done) = done.lock() {
            done.1 += 1;
            let line = format!("{what}: {} of {}", done.1, things.len());
            done.0.show(&line);
        }
    };
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let share = |worker: usize| {
            let (tell, mine) = (&tell, things.iter().enumerate().skip(worker).step_by(workers));
            scope.spawn(move || {
                let each = mine.map(|(place, thing)| {
                    let result = work(thing);
                    tell();
                    (place, result)
                });
                each.collect::<Vec<_>>()
            })
        };
        let running: Vec<_> = (0..workers).map(share).collect();
        // A worker that panicked said so itself.
        running.into_iter().flat_map(|one| one.join().unwrap_or_default()).collect()
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn of((all, some): (usize, usize)) -> String {
    match u32::try_from(all).ok().zip(u32::try_from(some).ok()) {
        Some((all, some)) if all > 0 => {
            format!("{some} of {all} ({})", percent(f64::from(some) / f64::from(all)))
        }
        _ => "none".to_owned(),
    }
}

fn page(sections: &[Section], followed: Option<&[Course]>, cost: u128, args: &Backtest) -> Page {
    let mut page = Page::new(terminal_width());
    for section in sections {
        page.heading(&format!("AS OF {}", section.name.to_uppercase()));
        rankings(&mut page, &section.report);
        facts(&mut page, &section.report);
        if let Some(compared) = &section.compared {
            differences(&mut page, &section.trials, compared);
        }
        if args.cases {
            each_case(&mut page, &section.trials);
        }
    }
    page.heading("COST");
    page.words(
        2,
        &format!(
            "{cost} µs for each alert, the simpler ways and the cases without their causes included"
        ),
    );
    if let Some(followed) = followed {
        let (flips, median, found) = courses(followed);
        let median = median.map_or("never".to_owned(), |minutes| format!("{minutes} min"));
        page.heading("FROM THE FIRST ALERT TO THE LAST");
        page.words(2, &format!(
            "first suspect guilty in the end: {found} of {}; from the first alert until then: {median} \
             (median); became another {flips:.1} times on the way",
            followed.len()
        ));
    }
    page
}

fn rankings(page: &mut Page, report: &Report) {
    let row = |name: &str, measure: &Measure, chance: Option<f64>| {
        vec![
            name.to_owned(),
            measure.count.to_string(),
            percent(measure.first),
            percent(measure.first_three),
            format!("{:.3}", measure.reciprocal_rank),
            chance.map_or_else(String::new, |chance| format!("{chance:.1e}")),
        ]
    };
    let titles = ["", "cases", "first", "first three", "1/rank", "no better by chance"];
    let mut rows = vec![titles.map(str::to_owned).to_vec(), row("antecede", &report.product, None)];
    let baselines = report.baselines.iter();
    rows.extend(baselines.map(|(one, measure, chance)| row(one.word(), measure, Some(*chance))));
    rows.push(row("antecede, latent causes", &report.latent, None));
    rows.extend(
        report.classes.iter().map(|(class, measure)| row(&format!("- {class}"), measure, None)),
    );
    let right = [Column::Right; 5];
    let columns: Vec<_> = [Column::Left].into_iter().chain(right).collect();
    page.columns(2, &columns, rows);
}

fn facts(page: &mut Page, report: &Report) {
    let bins = report.reliability.iter().map(|bin| {
        format!("{} said, {} right ({})", percent(bin.said), percent(bin.right), bin.count)
    });
    let covered = (report.product.count, report.likely.0);
    let rows = [
        ("likely, and right", of(report.likely)),
        ("covered by likely", of(covered)),
        ("blamed, no change", of(report.blamed_no_change)),
        ("blamed, cause removed", of(report.blamed_without_cause)),
        ("blamed, noise", of(report.blamed_strangers)),
        ("Brier score", format!("{:.3}", report.brier)),
        ("reliability", bins.collect::<Vec<_>>().join("; ")),
        ("own alerts gathered", percent(report.gathered)),
        ("purity", percent(report.purity)),
    ];
    page.gap();
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    page.columns(2, &[Column::Left, Column::Wrapped], rows);
}

fn said(trial: &Trial) -> Vec<String> {
    let first = trial.first.as_ref();
    let first = first.map_or_else(String::new, |(title, p)| format!("{} {title}", percent(*p)));
    let rank = trial.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
    vec![trial.name.clone(), trial.class.clone(), trial.answer.word().to_owned(), rank, first]
}

fn each_case(page: &mut Page, trials: &[Trial]) {
    page.gap();
    let columns = [Column::Left, Column::Left, Column::Left, Column::Right, Column::Wrapped];
    page.columns(2, &columns, trials.iter().map(said));
}

fn differences(page: &mut Page, trials: &[Trial], compared: &[Trial]) {
    let pairs = trials.iter().zip(compared);
    let differ = pairs.filter(|(one, other)| (one.rank, one.answer) != (other.rank, other.answer));
    let rows: Vec<_> = differ
        .map(|(one, other)| {
            let show = |trial: &Trial| {
                let rank = trial.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
                format!("{} {rank}", trial.answer.word())
            };
            vec![one.name.clone(), show(one), show(other)]
        })
        .collect();
    page.gap();
    page.words(2, &format!("with the other rules {} of {} differ", rows.len(), trials.len()));
    page.columns(4, &[Column::Left, Column::Left, Column::Left], rows);
}

fn json(sections: &[Section], followed: Option<&[Course]>, cost: u128) -> Value {
    let sections = sections.iter().map(|section| {
        json!({
            "at": section.name,
            "report": report_json(&section.report),
            "cases": section.trials.iter().map(trial_json).collect::<Vec<_>>(),
            "compared": section.compared.as_ref()
                .map(|trials| trials.iter().map(trial_json).collect::<Vec<_>>()),
        })
    });
    let followed = followed.map(|followed| {
        let (flips, minutes, found) = courses(followed);
        json!({"count": followed.len(), "found": found, "median_minutes": minutes, "mean_flips": flips})
    });
    let sections: Vec<_> = sections.collect();
    json!({"moments": sections, "course": followed, "microseconds_per_alert": cost.to_string()})
}

fn measure_json(measure: &Measure) -> Value {
    json!({
        "count": measure.count,
        "first": measure.first,
        "first_three": measure.first_three,
        "reciprocal_rank": measure.reciprocal_rank,
    })
}

fn report_json(report: &Report) -> Value {
    let pair = |(all, some): (usize, usize)| json!({"count": all, "of_them": some});
    let baselines = report.baselines.iter().map(|(one, measure, chance)| {
        json!({"name": one.word(), "measure": measure_json(measure), "p": chance})
    });
    let classes = report.classes.iter();
    let classes =
        classes.map(|(one, measure)| json!({"class": one, "measure": measure_json(measure)}));
    let bins = report.reliability.iter();
    let bins = bins.map(|bin| json!({"count": bin.count, "said": bin.said, "right": bin.right}));
    json!({
        "antecede": measure_json(&report.product),
        "latent": measure_json(&report.latent),
        "baselines": baselines.collect::<Vec<_>>(),
        "classes": classes.collect::<Vec<_>>(),
        "likely": pair(report.likely),
        "blamed_no_change": pair(report.blamed_no_change),
        "blamed_without_cause": pair(report.blamed_without_cause),
        "blamed_strangers": pair(report.blamed_strangers),
        "brier": report.brier,
        "reliability": bins.collect::<Vec<_>>(),
        "gathered": report.gathered,
        "purity": report.purity,
    })
}

fn trial_json(trial: &Trial) -> Value {
    json!({
        "case": trial.name,
        "class": trial.class,
        "latent": trial.latent,
        "rank": trial.rank,
        "answer": trial.answer,
        "first": trial.first.as_ref().map(|(title, _)| title),
        "probability": trial.first.as_ref().map(|(_, probability)| probability),
        "none_probability": trial.none_probability,
        "gathered": trial.gathered,
        "purity": trial.purity,
        "blamed_without_cause": trial.blamed_without_cause,
    })
}
