//! What the daemon counts and times of itself, for Prometheus.
//!
//! One struct, on a registry that is passed in, with one method for each thing that happens. No
//! label has a value that came from outside: the number of series is fixed by this file, and of the
//! hashes of configurations only the one in force is told.

use std::time::Duration;

use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    process_collector::ProcessCollector,
};

use crate::{
    correlate::State,
    event::{Time, micros},
    store::{Logged, Mailbox, Size},
};

/// Seconds: from a commit in a page cache to a disk that others keep busy.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// All metrics of the daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    ingest_events: IntCounterVec,
    ingest_requests: IntCounterVec,
    ingest_duration: Histogram,
    http_requests: IntCounterVec,
    http_duration: HistogramVec,
    truncated_alerts: IntCounter,
    held_back_posts: IntCounter,
    engine_events: IntCounterVec,
    engine_lag_events: IntGauge,
    engine_lag_seconds: Gauge,
    fold_duration: Histogram,
    assessment_duration: Histogram,
    incidents: IntGaugeVec,
    config: OfConfig,
    store_rows: IntGaugeVec,
    store_bytes: IntGaugeVec,
    old: OldMetrics,
    notices: NoticeMetrics,
    feeds: FeedMetrics,
    service_graph: GraphMetrics,
}

/// What became of what is old.
#[derive(Debug)]
struct OldMetrics {
    dropped: IntCounterVec,
    frozen: IntCounter,
    held_from: Gauge,
}

impl OldMetrics {
    fn new(on: &Maker<'_>) -> prometheus::Result<Self> {
        let help = "Rows that were dropped by age";
        let dropped = on.counters("retention_rows_dropped_total", help, &["store"])?;
        for store in ["log", "state"] {
            dropped.with_label_values(&[store]).reset();
        }
        let help = "Incidents that were frozen before their events are dropped";
        let frozen = on.counter("retention_incidents_frozen_total", help)?;
        let help = "The time of the oldest event in the log";
        let held_from = on.seconds("log_oldest_event_timestamp_seconds", help)?;
        Ok(Self { dropped, frozen, held_from })
    }
}

/// What came of telling somebody.
#[derive(Debug)]
struct NoticeMetrics {
    total: IntCounterVec,
    outbox: IntGaugeVec,
}

impl NoticeMetrics {
    fn new(on: &Maker<'_>) -> prometheus::Result<Self> {
        let help = "Attempts to send something, by receiver and by what came of them";
        let total = on.counters("notices_total", help, &["receiver", "result"])?;
        let help = "What waits to be delivered, by receiver";
        let outbox = on.gauges("notify_outbox", help, &["receiver"])?;
        for mailbox in Mailbox::ALL {
            for result in NoticeResult::ALL {
                total.with_label_values(&[mailbox.word(), result.word()]).reset();
            }
            outbox.with_label_values(&[mailbox.word()]).set(0);
        }
        Ok(Self { total, outbox })
    }
}

/// Who is heard.
#[derive(Debug)]
struct FeedMetrics {
    last_heard: GaugeVec,
    silent: IntGaugeVec,
}

impl FeedMetrics {
    fn new(on: &Maker<'_>) -> prometheus::Result<Self> {
        let name = "feed_last_heard_timestamp_seconds";
        let last_heard = on.moments(name, "When a feed was heard last", &["feed"])?;
        let help = "Whether a feed was not heard for three times its usual interval";
        Ok(Self { last_heard, silent: on.gauges("feed_silent", help, &["feed"])? })
    }
}

/// What came of asking who calls whom.
#[derive(Debug)]
struct GraphMetrics {
    polls: IntCounterVec,
    calls: IntGauge,
    polled_at: Gauge,
}

impl GraphMetrics {
    fn new(on: &Maker<'_>) -> prometheus::Result<Self> {
        let help = "Polls of the service graph, by what came of them";
        let polls = on.counters("service_graph_polls_total", help, &["result"])?;
        for result in PollResult::ALL {
            polls.with_label_values(&[result.word()]).reset();
        }
        let help = "Calls from one service to another that the service graph knows";
        let calls = on.gauge("service_graph_calls", help)?;
        let help = "When the service graph was polled last";
        let polled_at = on.seconds("service_graph_last_success_timestamp_seconds", help)?;
        Ok(Self { polls, calls, polled_at })
    }
}

/// What is told of the configuration.
#[derive(Debug)]
struct OfConfig {
    info: IntGaugeVec,
    successful: IntGauge,
    loaded_at: Gauge,
}

impl OfConfig {
    fn new(on: &Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            info: on.gauges(
                "config_info",
                "The configuration in force, as its hash stands in answers",
                &["hash"],
            )?,
            successful: on.gauge(
                "config_last_reload_successful",
                "Whether the configuration could be read when that was last tried",
            )?,
            loaded_at: on.seconds(
                "config_last_reload_success_timestamp_seconds",
                "When the configuration in force was read",
            )?,
        })
    }
}

/// How many things of one request went which way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Taken {
    /// Stored.
    pub accepted: usize,
    /// There already.
    pub duplicates: usize,
    /// Understood, and none of our business.
    pub ignored: usize,
    /// Not understood.
    pub rejected: usize,
}

/// What came of sending a notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoticeResult {
    /// The receiver took it.
    Delivered,
    /// It did not, and is asked again.
    Retried,
    /// It is not sent any more.
    GivenUp,
}

impl NoticeResult {
    const ALL: [Self; 3] = [Self::Delivered, Self::Retried, Self::GivenUp];

    const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::GivenUp => "given_up",
        }
    }
}

/// What came of a poll of the service graph.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PollResult {
    /// It is another than before.
    Changed,
    /// It is the same.
    Unchanged,
    /// It is not known, and stays as it was.
    Failed,
}

impl PollResult {
    const ALL: [Self; 3] = [Self::Changed, Self::Unchanged, Self::Failed];

    const fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// All metrics, at zero, on this registry.
    ///
    /// # Errors
    /// The registry has metrics of these names.
    pub fn new(registry: Registry) -> prometheus::Result<Self> {
        let on = &Maker { registry: &registry };
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = on.gauges("build_info", "Which program this is", &["version", "revision"])?;
        let revision = option_env!("ANTECEDE_REVISION").unwrap_or("unknown");
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision]).set(1);
        let metrics = Self {
            ingest_events: on.counters(
                "ingest_events_total",
                "Things that were posted, by what became of them",
                &["source", "result"],
            )?,
            ingest_requests: on.counters(
                "ingest_requests_total",
                "Requests that posted something",
                &["source", "code"],
            )?,
            ingest_duration: on.histogram(
                "ingest_duration_seconds",
                "From a post's first byte to its acknowledgement",
            )?,
            http_requests: on.counters(
                "http_requests_total",
                "Requests, by the path's form",
                &["route", "code"],
            )?,
            http_duration: on.histograms(
                "http_request_duration_seconds",
                "Time to answer a request",
                &["route"],
            )?,
            truncated_alerts: on.counter(
                "alertmanager_truncated_alerts_total",
                "Alerts that Alertmanager left out of its webhooks (max_alerts)",
            )?,
            held_back_posts: on.counter(
                "held_back_posts_total",
                "Posts that were held back because the engine did not keep pace",
            )?,
            engine_events: on.counters(
                "engine_events_total",
                "Events folded, by whether they came behind the horizon",
                &["late"],
            )?,
            engine_lag_events: on
                .gauge("engine_lag_events", "Events in the log that are not yet assessed")?,
            engine_lag_seconds: on.seconds(
                "engine_lag_seconds",
                "How long ago the oldest event came that is not yet assessed",
            )?,
            fold_duration: on.histogram(
                "fold_duration_seconds",
                "From a batch of the log to its place in the state",
            )?,
            assessment_duration: on
                .histogram("assessment_duration_seconds", "Time to assess the window")?,
            incidents: on.gauges("incidents", "Incidents in the window, by state", &["state"])?,
            config: OfConfig::new(on)?,
            store_rows: on.gauges("store_rows", "Rows of a store", &["store"])?,
            store_bytes: on.gauges("store_bytes", "Bytes on disk of a store", &["store"])?,
            old: OldMetrics::new(on)?,
            notices: NoticeMetrics::new(on)?,
            feeds: FeedMetrics::new(on)?,
            service_graph: GraphMetrics::new(on)?,
            registry,
        };
        Ok(metrics)
    }

    /// A post was taken, whole or in part.
    pub fn took(&self, source: &str, taken: Taken) {
        let Taken { accepted, duplicates, ignored, rejected } = taken;
        for (result, count) in [
            ("accepted", accepted),
            ("duplicate", duplicates),
            ("ignored", ignored),
            ("rejected", rejected),
        ] {
            let counter = self.ingest_events.with_label_values(&[source, result]);
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// Alertmanager said that it left alerts out.
    pub fn alerts_were_truncated(&self, count: u64) {
        self.truncated_alerts.inc_by(count);
    }

    /// A post is held back, as the engine does not keep pace.
    pub fn post_is_held_back(&self) {
        self.held_back_posts.inc();
    }

    /// A post was answered.
    pub fn ingest_answered(&self, source: &str, code: u16, took: Duration) {
        self.ingest_requests.with_label_values(&[source, &code.to_string()]).inc();
        self.ingest_duration.observe(took.as_secs_f64());
    }

    /// A request was answered.
    pub fn http_answered(&self, route: &'static str, code: u16, took: Duration) {
        self.http_requests.with_label_values(&[route, &code.to_string()]).inc();
        self.http_duration.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// The engine takes in a batch of the log.
    pub fn engine_takes(&self, batch: &[Logged]) {
        let late = batch.iter().filter(|logged| logged.late).count();
        for (label, count) in [("true", late), ("false", batch.len() - late)] {
            let counter = self.engine_events.with_label_values(&[label]);
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// A batch was assessed; so many incidents of each state are in the window then.
    pub fn assessed(&self, took: Duration, incidents: &[(State, usize)]) {
        self.assessment_duration.observe(took.as_secs_f64());
        for (state, count) in incidents {
            self.incidents.with_label_values(&[state.word()]).set(gauge_of(*count));
        }
    }

    /// A batch is in the state.
    pub fn engine_wrote(&self, took: Duration) {
        self.fold_duration.observe(took.as_secs_f64());
    }

    /// So many events wait for the engine, the oldest of them for so long.
    pub fn engine_lags(&self, events: u64, oldest: Duration) {
        self.engine_lag_events.set(gauge_of(events));
        self.engine_lag_seconds.set(oldest.as_secs_f64());
    }

    /// The configuration of this hash was read at this time, and is in force.
    pub fn config_loaded(&self, at: Time, hash: &str) {
        self.config_in_force(hash);
        self.config.successful.set(1);
        self.config.loaded_at.set(seconds_of(at));
    }

    /// The configuration of this hash is in force.
    pub fn config_in_force(&self, hash: &str) {
        self.config.info.reset();
        self.config.info.with_label_values(&[hash]).set(1);
    }

    /// The service graph was polled, at this time where that went well.
    pub fn service_graph_polled(&self, result: PollResult, at: Option<Time>) {
        self.service_graph.polls.with_label_values(&[result.word()]).inc();
        if let Some(at) = at {
            self.service_graph.polled_at.set(seconds_of(at));
        }
    }

    /// The service graph knows so many calls.
    pub fn service_graph_holds(&self, calls: usize) {
        self.service_graph.calls.set(gauge_of(calls));
    }

    /// The configuration was to be read anew, and cannot be used.
    pub fn reload_failed(&self) {
        self.config.successful.set(0);
    }

    /// A store was measured.
    pub fn store_holds(&self, store: &'static str, size: Size) {
        self.store_rows.with_label_values(&[store]).set(gauge_of(size.rows));
        self.store_bytes.with_label_values(&[store]).set(gauge_of(size.bytes));
    }

    /// So many rows of a store were dropped by age.
    pub fn dropped(&self, store: &'static str, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.old.dropped.with_label_values(&[store]).inc_by(rows);
    }

    /// So many incidents were frozen.
    pub fn incidents_frozen(&self, count: usize) {
        self.old.frozen.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// The oldest event is of this time, if there is one.
    pub fn log_begins(&self, oldest: Option<Time>) {
        self.old.held_from.set(oldest.map_or(0.0, seconds_of));
    }

    /// A notice was sent.
    pub fn notice(&self, mailbox: Mailbox, result: NoticeResult) {
        self.notices.total.with_label_values(&[mailbox.word(), result.word()]).inc();
    }

    /// So many notices are not sent any more.
    pub fn notices_given_up(&self, mailbox: Mailbox, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.notices
            .total
            .with_label_values(&[mailbox.word(), NoticeResult::GivenUp.word()])
            .inc_by(count);
    }

    /// So many notices wait.
    pub fn notices_wait(&self, mailbox: Mailbox, count: usize) {
        self.notices.outbox.with_label_values(&[mailbox.word()]).set(gauge_of(count));
    }

    /// A feed was heard last at this time, if ever, and may be silent.
    pub fn feed(&self, feed: &str, last_heard: Option<Time>, silent: bool) {
        if let Some(last) = last_heard {
            let since = Duration::from_micros(u64::try_from(micros(last)).unwrap_or_default());
            self.feeds.last_heard.with_label_values(&[feed]).set(since.as_secs_f64());
        }
        self.feeds.silent.with_label_values(&[feed]).set(i64::from(silent));
    }

    /// All of it in Prometheus' text form.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn gauge_of(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Seconds since 1970, as Prometheus counts time.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "milliseconds below 2^53")]
fn seconds_of(time: Time) -> f64 {
    time.timestamp_millis() as f64 / 1e3
}

/// Makes metrics and registers them.
struct Maker<'a> {
    registry: &'a Registry,
}

impl Maker<'_> {
    fn register<M>(&self, metric: M) -> prometheus::Result<M>
    where
        M: prometheus::core::Collector + Clone + 'static,
    {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::with_opts(opts(name, help))?)
    }

    fn counters(&self, name: &str, help: &str, by: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(opts(name, help), by)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::with_opts(opts(name, help))?)
    }

    fn seconds(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register(Gauge::with_opts(opts(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, by: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(opts(name, help), by)?)
    }

    fn moments(&self, name: &str, help: &str, by: &[&str]) -> prometheus::Result<GaugeVec> {
        self.register(GaugeVec::new(opts(name, help), by)?)
    }

    fn histogram(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        self.register(Histogram::with_opts(buckets(name, help))?)
    }

    fn histograms(&self, name: &str, help: &str, by: &[&str]) -> prometheus::Result<HistogramVec> {
        self.register(HistogramVec::new(buckets(name, help), by)?)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("antecede")
}

fn buckets(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::from(opts(name, help)).buckets(SECONDS.to_vec())
}
