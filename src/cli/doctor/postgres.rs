//! The checks of a PostgreSQL: transactions that hold the feed back, slots that block vacuum, and harmful
//! settings.

mod horizon;

use serde_json::json;

use super::finding::Finding;
use crate::on;
use crate::store::{Conn, POSTGRES_CONNECTIONS};

pub use horizon::horizon;

/// The oldest supported version.
const OLDEST: i64 = 150_000;
/// The most connections of one replica.
const CONNECTIONS_PER_REPLICA: i64 = POSTGRES_CONNECTIONS as i64;

const VERSION: &str = "SELECT current_setting('server_version'),
    current_setting('server_version_num')::bigint, current_database()::text,
    current_setting('server_encoding')";

/// Checks the version and the encoding of the server.
pub async fn engine(conn: &mut Conn) -> sqlx::Result<Vec<Finding>> {
    let (version, number, database, encoding): (String, i64, String, String) =
        on!(conn, |e| sqlx::query_as(VERSION).fetch_one(e).await)?;
    let text = format!("PostgreSQL {version}, database {database}");
    let finding = if number < OLDEST {
        Finding::fail("engine", text).advise("At least version 15 is needed: upgrade the server.")
    } else if encoding != "UTF8" {
        let advice = "The encoding has to be UTF8: move the data into a database made with CREATE DATABASE … \
                      ENCODING 'UTF8' TEMPLATE template0.";
        Finding::fail("engine", format!("{text}, has the encoding {encoding}")).advise(advice)
    } else {
        Finding::ok("engine", text)
    };
    let detail = json!({"version": version, "encoding": encoding});
    Ok(vec![finding.with(detail)])
}

#[derive(sqlx_macros::FromRow)]
struct Slot {
    slot_name: String,
    active: bool,
    age: i64,
}

const SLOTS: &str = "SELECT slot_name::text, active,
    GREATEST(age(xmin), age(catalog_xmin))::bigint AS age
    FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
    ORDER BY 3 DESC LIMIT 10";

/// Checks for replication slots that keep vacuum from removing dead rows. They do not hold the feed back.
pub async fn slots(conn: &mut Conn) -> sqlx::Result<Vec<Finding>> {
    let slots: Vec<Slot> = on!(conn, |e| sqlx::query_as(SLOTS).fetch_all(e).await)?;
    if slots.is_empty() {
        return Ok(vec![Finding::ok(
            "vacuum",
            "no replication slot is in its way",
        )]);
    }
    let finding = |slot: &Slot| {
        let Slot {
            slot_name,
            active,
            age,
        } = slot;
        let text = format!("replication slot {slot_name} keeps the last {age} transactions");
        let finding = if *active {
            Finding::ok("vacuum", format!("{text}, and is in use"))
        } else {
            Finding::warn(
                "vacuum",
                format!("{text}, but is unused: tables and the disk fill up"),
            )
            .advise(format!(
                "If its reader is gone for good: SELECT pg_drop_replication_slot('{slot_name}')"
            ))
        };
        finding.with(json!({"slot": slot_name, "active": active, "age": age}))
    };
    Ok(slots.iter().map(finding).collect())
}

/// A harmful value of a setting, and the harm.
struct Harmful {
    name: &'static str,
    value: &'static str,
    fails: bool,
    harm: &'static str,
}

const HARMFUL: &[Harmful] = &[
    Harmful {
        name: "fsync",
        value: "off",
        fails: true,
        harm: "a crash of the machine destroys the database",
    },
    Harmful {
        name: "full_page_writes",
        value: "off",
        fails: true,
        harm: "a crash of the machine may destroy pages",
    },
    Harmful {
        name: "synchronous_commit",
        value: "off",
        fails: true,
        harm: "answered writes may be lost in a crash",
    },
    Harmful {
        name: "autovacuum",
        value: "off",
        fails: false,
        harm: "tables grow without end",
    },
];

const SETTING: &str = "SELECT current_setting($1)";
const TWO_PHASE: &str = "SELECT current_setting('max_prepared_transactions')::bigint,
    (SELECT COUNT(*) FROM pg_prepared_xacts)";

/// Checks for settings that endanger the promises of the store.
pub async fn settings(conn: &mut Conn) -> sqlx::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for setting in HARMFUL {
        let value: String = on!(conn, |e| sqlx::query_scalar(SETTING)
            .bind(setting.name)
            .fetch_one(e)
            .await)?;
        if value != setting.value {
            continue;
        }
        let text = format!("{} = {value}: {}", setting.name, setting.harm);
        let advice = format!(
            "Set {} = on, for the server, the database and the role.",
            setting.name
        );
        let finding = match setting.fails {
            true => Finding::fail("settings", text),
            false => Finding::warn("settings", text),
        };
        findings.push(
            finding
                .advise(advice)
                .with(json!({"setting": setting.name, "value": value})),
        );
    }
    let (allowed, prepared): (i64, i64) =
        on!(conn, |e| sqlx::query_as(TWO_PHASE).fetch_one(e).await)?;
    if allowed > 0 && prepared > 0 {
        let text = format!(
            "max_prepared_transactions = {allowed}, and {prepared} are prepared: one that is \
             forgotten holds the feed back for ever"
        );
        let detail =
            json!({"setting": "max_prepared_transactions", "value": allowed, "prepared": prepared});
        findings.push(
            Finding::warn("settings", text)
                .advise("Keep two-phase commit out of this cluster: max_prepared_transactions = 0.")
                .with(detail),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok("settings", "none of those looked at does harm"));
    }
    Ok(findings)
}

const CONNECTIONS: &str = "SELECT
    (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::bigint
        - current_setting('superuser_reserved_connections')::bigint
        - COALESCE(current_setting('reserved_connections', true), '0')::bigint";

/// Checks how many connections are left.
pub async fn connections(conn: &mut Conn) -> sqlx::Result<Vec<Finding>> {
    let (used, usable): (i64, i64) = on!(conn, |e| sqlx::query_as(CONNECTIONS).fetch_one(e).await)?;
    let left = (usable - used).max(0);
    let text = format!("{used} of {usable} are used, {left} are left");
    let advice = format!(
        "A replica uses up to {CONNECTIONS_PER_REPLICA}: raise max_connections, or end what keeps them."
    );
    let finding = match left {
        0..4 => Finding::fail("connections", text).advise(advice),
        4..CONNECTIONS_PER_REPLICA => Finding::warn("connections", text).advise(advice),
        _ => Finding::ok("connections", text),
    };
    let detail = json!({"used": used, "usable": usable, "left": left});
    Ok(vec![finding.with(detail)])
}
