//! E-mails about alerts: text, HTML, and a picture of the telemetry.

use super::AlertFacts;
use crate::SmtpConfig;
use chrono::{DateTime, Utc};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Attachment, Mailbox, MultiPart, SinglePart, header::ContentType},
};
use muster_charts::{
    Fill, Legend, LineChart, PngError, Series, Theme, Threshold, line_chart, render_png, series_color,
};
use muster_model::rule::Severity;
use secrecy::ExposeSecret;
use std::{fmt::Write, time::Duration};

/// Why an e-mail did not leave.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// `smtp.url` or `smtp.from` cannot be used.
    #[error("the mail configuration is not valid: {0}")]
    Config(String),
    /// An address in the rule is no e-mail address.
    #[error("'{0}' is not an e-mail address")]
    Address(String),
    /// The message could not be put together.
    #[error("the message could not be built")]
    Build(#[from] lettre::error::Error),
    /// The picture could not be drawn.
    #[error("the picture could not be drawn")]
    Picture(#[from] PngError),
    /// The server refused for good.
    #[error("the mail server refused: {0}")]
    Refused(String),
    /// The server is away or asks to come again.
    #[error("the mail server is not available: {0}")]
    Unavailable(String),
}

/// An e-mail about an alert, with the telemetry that its picture shows.
#[derive(Debug)]
pub struct AlertMail<'a> {
    /// The facts.
    pub facts: &'a AlertFacts,
    /// The rule's note.
    pub note: &'a str,
    /// The points of the first watched telemetry, oldest first; empty = no picture.
    pub points: Vec<(i64, Option<f64>)>,
}

/// Sends e-mail over SMTP. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// A mailer for `config`.
    ///
    /// # Errors
    /// [`MailError::Config`] where URL or sender are not valid.
    pub fn new(config: &SmtpConfig) -> Result<Self, MailError> {
        let from = config.from.parse().map_err(|_| MailError::Config(format!("smtp.from '{}'", config.from)))?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(config.url.expose_secret())
            .map_err(|error| MailError::Config(format!("smtp.url: {error}")))?
            .timeout(Some(Duration::from_secs(20)))
            .build();
        Ok(Self { transport, from })
    }

    /// Sends `mail` to `to`.
    ///
    /// # Errors
    /// [`MailError`]; only [`MailError::Unavailable`] is worth another try.
    pub async fn send(&self, to: &[String], mail: AlertMail<'_>) -> Result<(), MailError> {
        let message = compose(self.from.clone(), to, &mail)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(MailError::Refused(error.to_string())),
            Err(error) => Err(MailError::Unavailable(error.to_string())),
        }
    }
}

/// Puts the message together: text and HTML, the picture inline.
///
/// # Errors
/// [`MailError::Address`], [`MailError::Picture`] or [`MailError::Build`].
pub fn compose(from: Mailbox, to: &[String], mail: &AlertMail<'_>) -> Result<Message, MailError> {
    let facts = mail.facts;
    let subject = format!("[{}] {} — {}", severity_name(facts.severity), facts.rule_name, facts.device_name);
    let mut builder = Message::builder().from(from).subject(single_line(&subject));
    for address in to {
        builder = builder.to(address.parse().map_err(|_| MailError::Address(address.clone()))?);
    }
    let picture = picture(mail)?;
    let html = SinglePart::html(html(mail, picture.is_some()));
    let rich = match picture {
        Some(png) => {
            let image = ContentType::parse("image/png").map_err(|error| MailError::Config(error.to_string()))?;
            let part = Attachment::new_inline("telemetry".into()).body(png, image);
            MultiPart::related().singlepart(html).singlepart(part)
        }
        None => MultiPart::related().singlepart(html),
    };
    let body = MultiPart::alternative().singlepart(SinglePart::plain(text(mail))).multipart(rich);
    Ok(builder.multipart(body)?)
}

fn picture(mail: &AlertMail<'_>) -> Result<Option<Vec<u8>>, MailError> {
    let Some(watched) = mail.facts.telemetry.first() else { return Ok(None) };
    if mail.points.is_empty() {
        return Ok(None);
    }
    let chart = LineChart {
        width_px: 600,
        height_px: 240,
        theme: Theme::Light,
        unit: watched.unit.clone(),
        utc_offset_s: 0,
        range_ms: None,
        gap_ms: None,
        series: vec![Series {
            name: watched.display_name.clone(),
            color: series_color(Theme::Light, 0),
            points: mail.points.clone(),
        }],
        threshold: watched.threshold.map(|value| Threshold { value, label: format!("{value} {}", watched.unit) }),
        legend: Legend::Shown,
        fill: Fill::None,
    };
    Ok(Some(render_png(&line_chart(&chart), Theme::Light, 2.0)?))
}

fn text(mail: &AlertMail<'_>) -> String {
    let facts = mail.facts;
    let mut text = format!(
        "{}\n\nDevice: {} ({})\nTime: {}\n",
        facts.reason,
        facts.device_name,
        facts.device_id,
        time(facts.opened_ms)
    );
    for watched in &facts.telemetry {
        let _ = writeln!(text, "{}: {} {}", watched.display_name, watched.value, watched.unit);
    }
    if !mail.note.is_empty() {
        let _ = write!(text, "\n{}\n", mail.note);
    }
    if !facts.link.is_empty() {
        let _ = write!(text, "\n{}\n", facts.link);
    }
    text
}

fn html(mail: &AlertMail<'_>, with_picture: bool) -> String {
    let facts = mail.facts;
    let color = match facts.severity {
        Severity::Critical => "#c62828",
        Severity::Warning => "#b45309",
        Severity::Information => "#2563eb",
    };
    let mut rows = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = write!(
            rows,
            "<tr><td style=\"padding:4px 16px 4px 0;color:#5b6477\">{}</td><td style=\"padding:4px 0\"><b>{}</b></td></tr>",
            escape(name),
            escape(value)
        );
    };
    row("Device", &format!("{} ({})", facts.device_name, facts.device_id));
    row("Time", &time(facts.opened_ms));
    for watched in &facts.telemetry {
        row(&watched.display_name, &format!("{} {}", watched.value, watched.unit));
    }
    let note = if mail.note.is_empty() { String::new() } else { format!("<p>{}</p>", escape(mail.note)) };
    let link = if facts.link.is_empty() {
        String::new()
    } else {
        format!("<p><a href=\"{}\" style=\"color:#2f5fe3\">Open the device</a></p>", escape(&facts.link))
    };
    let image = if with_picture {
        "<img src=\"cid:telemetry\" width=\"600\" height=\"240\" alt=\"The telemetry before the alert\" style=\"max-width:100%;height:auto\">"
    } else {
        ""
    };
    format!(
        "<!doctype html><html lang=\"en\"><body style=\"font-family:Inter,Segoe UI,Helvetica,Arial,sans-serif;color:#151b2c;max-width:640px\">\
         <p style=\"color:{color};font-weight:600;margin-bottom:0\">{}</p><h2 style=\"margin-top:4px\">{}</h2><p>{}</p><table>{rows}</table>{note}{image}{link}</body></html>",
        severity_name(facts.severity),
        escape(&facts.rule_name),
        escape(&facts.reason),
    )
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Information => "Information",
        Severity::Warning => "Warning",
        Severity::Critical => "Critical",
    }
}

fn time(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default().format("%-d %B %Y, %H:%M:%S UTC").to_string()
}

/// A header is one line, whatever a name holds.
fn single_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::Watched;
    use muster_model::AlertId;

    fn facts() -> AlertFacts {
        AlertFacts {
            alert: AlertId(uuid::Uuid::nil()),
            rule_name: "Too <hot>\r\nBcc: evil@example.com".into(),
            device_id: "pump-1".into(),
            device_name: "Pump & co".into(),
            severity: Severity::Critical,
            reason: "temperature is above 30 °C".into(),
            opened_ms: 1_795_000_000_000,
            telemetry: vec![Watched {
                key: "temperature".into(),
                display_name: "Temperature".into(),
                unit: "°C".into(),
                value: 31.5.into(),
                threshold: Some(30.0),
            }],
            link: "https://muster.example/t/demo/devices/pump-1".into(),
        }
    }

    fn written(points: Vec<(i64, Option<f64>)>) -> String {
        let facts = facts();
        let mail = AlertMail { facts: &facts, note: "call Anna", points };
        let from = "Muster <muster@example.com>".parse().expect("a sender");
        let message = compose(from, &["op@example.com".into()], &mail).expect("a message");
        String::from_utf8_lossy(&message.formatted()).into_owned()
    }

    #[test]
    fn the_mail_carries_a_picture_and_no_injected_header() {
        let mail = written((0..20).map(|i| (i * 60_000, Some(20.0 + i as f64))).collect());
        assert!(mail.contains("Content-Type: image/png"), "{mail}");
        assert!(mail.contains("Content-ID: <telemetry>"));
        let (head, _) = mail.split_once("\r\n\r\n").expect("a head and a body");
        assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{head}");
    }

    #[test]
    fn without_points_there_is_no_picture() {
        assert!(!written(Vec::new()).contains("image/png"));
    }

    #[test]
    fn html_is_escaped() {
        let facts = facts();
        let page = html(&AlertMail { facts: &facts, note: "<script>", points: Vec::new() }, false);
        assert!(page.contains("Too &lt;hot&gt;") && page.contains("&lt;script&gt;") && page.contains("Pump &amp; co"));
    }

    #[test]
    fn a_wrong_address_is_named() {
        let facts = facts();
        let mail = AlertMail { facts: &facts, note: "", points: Vec::new() };
        let from: Mailbox = "muster@example.com".parse().expect("a sender");
        assert!(matches!(compose(from, &["nobody".into()], &mail), Err(MailError::Address(a)) if a == "nobody"));
    }
}
