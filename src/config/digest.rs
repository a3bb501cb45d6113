//! `[digest.transfer]` and `[digest.health]`: the daily mails.

use std::env;
use std::fmt;

use chrono_tz::Tz;
use longshore_actors::{Daily, DigestSetting, DigestSettings, MailAddress};
use longshore_model::{DigestKind, DigestOf};
use serde::{Deserialize, Serialize};

/// `[digest]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Digest {
    /// What arrived, and what did not.
    pub transfer: DailyMail,
    /// Which devices need attention.
    pub health: DailyMail,
}

/// One of the daily mails.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DailyMail {
    /// For whom it is, about all devices; without anybody there is none.
    pub to: Option<Addresses>,
    /// When it is sent.
    pub at: SendTime,
    /// Whose clocks show that time; without one, this machine's.
    pub zone: Option<Zone>,
    /// Mails of their own about the devices of sites.
    pub sites: Option<Sites>,
}

impl Digest {
    /// For the engine; `url` is where people find the server.
    pub fn settings(&self, url: String) -> DigestSettings {
        let zone = machines_zone();
        let transfer = self.transfer.settings(DigestKind::Transfer, zone);
        let digests = transfer.chain(self.health.settings(DigestKind::Health, zone)).collect();
        DigestSettings { digests, url, zone }
    }

    /// Whether any mail is to be sent.
    pub(super) fn is_set_up(&self) -> bool {
        [&self.transfer, &self.health].into_iter().any(|mail| mail.to.is_some() || mail.sites.is_some())
    }
}

impl DailyMail {
    fn settings(&self, kind: DigestKind, usual: Tz) -> impl Iterator<Item = DigestSetting> {
        let zone = self.zone.as_ref().map_or(usual, |Zone(zone)| *zone);
        let of_all = self.to.as_ref().map(|Addresses(to)| (None, to.clone(), &self.at, zone));
        let sites = self.sites.as_ref().map(|Sites(sites)| sites.as_slice()).unwrap_or_default();
        let of_sites = sites.iter().map(move |site| {
            let own = site.zone.as_ref().map_or(zone, |Zone(zone)| *zone);
            (Some(site.name.clone()), site.to.0.clone(), site.at.as_ref().unwrap_or(&self.at), own)
        });
        of_all.into_iter().chain(of_sites).filter_map(move |(site, to, SendTime(at), zone)| {
            // It was read before.
            let daily = Daily::new(at, zone).ok()?;
            Some(DigestSetting { of: DigestOf { kind, site }, to, daily })
        })
    }
}

/// The zone of this machine; a container says it in `TZ`.
fn machines_zone() -> Tz {
    let names = [env::var("TZ").ok(), iana_time_zone::get_timezone().ok()];
    names.into_iter().flatten().find_map(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

/// Mail addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Addresses(Vec<MailAddress>);

impl TryFrom<String> for Addresses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut addresses: Vec<MailAddress> = Vec::new();
        for address in text.split(',').map(str::trim) {
            let address = address.parse::<MailAddress>().map_err(|error| error.to_string())?;
            if addresses.contains(&address) {
                return Err(format!("{address} is there twice"));
            }
            addresses.push(address);
        }
        Ok(Self(addresses))
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&addresses.join(", "))
    }
}

/// A time of the day, or a cron expression of five fields that comes at most once a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SendTime(String);

impl Default for SendTime {
    fn default() -> Self {
        Self("06:00".to_owned())
    }
}

impl TryFrom<String> for SendTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Daily::new(&text, Tz::UTC).map_err(|error| error.to_string())?;
        Ok(Self(text))
    }
}

impl fmt::Display for SendTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A time zone of the IANA's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(Tz);

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let zone =
            text.parse().map_err(|_| format!("{text:?} is no time zone; write one such as \"Europe/Berlin\""))?;
        Ok(Self(zone))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// Mails of their own about the devices of sites, one site a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sites(Vec<SiteMail>);

/// `North yard: north@example.org, chief@example.org at 05:30 in Europe/Berlin`
#[derive(Debug, Clone, PartialEq, Eq)]
struct SiteMail {
    name: String,
    to: Addresses,
    at: Option<SendTime>,
    zone: Option<Zone>,
}

impl TryFrom<String> for Sites {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut sites: Vec<SiteMail> = Vec::new();
        for line in text.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty()) {
            let site = SiteMail::read(line)?;
            if sites.iter().any(|known| known.name == site.name) {
                return Err(format!("the site {} is there twice", site.name));
            }
            sites.push(site);
        }
        if sites.is_empty() { Err("it names no site".to_owned()) } else { Ok(Self(sites)) }
    }
}

impl fmt::Display for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sites: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&sites.join("; "))
    }
}

impl SiteMail {
    fn read(line: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{line:?} is no site with its addresses; write \"North yard: anna@example.org\", perhaps with \" at 05:30\" and \" in Europe/Berlin\" behind it"
            )
        };
        let (name, rest) = line.split_once(": ").ok_or_else(wrong)?;
        let (rest, zone) = rest.split_once(" in ").map_or((rest, None), |(rest, zone)| (rest, Some(zone)));
        let (to, at) = rest.split_once(" at ").map_or((rest, None), |(to, at)| (to, Some(at)));
        let owned = |text: &str| text.trim().to_owned();
        Ok(Self {
            name: Some(owned(name)).filter(|name| !name.is_empty()).ok_or_else(wrong)?,
            to: owned(to).try_into()?,
            at: at.map(|at| owned(at).try_into()).transpose()?,
            zone: zone.map(|zone| owned(zone).try_into()).transpose()?,
        })
    }
}

impl fmt::Display for SiteMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, to, at, zone } = self;
        write!(f, "{name}: {to}")?;
        at.as_ref().map_or(Ok(()), |at| write!(f, " at {at}"))?;
        zone.as_ref().map_or(Ok(()), |zone| write!(f, " in {zone}"))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn read<T: TryFrom<String, Error = String> + fmt::Display>(text: &str) -> Result<String, String> {
        T::try_from(text.to_owned()).map(|value| value.to_string())
    }

    #[test]
    fn what_is_written_is_shown_again_and_what_is_wrong_is_told() {
        assert_eq!(read::<Addresses>("a@example.org,b@example.org").as_deref(), Ok("a@example.org, b@example.org"));
        for (text, says) in
            [("", "no mail address"), ("a@example.org, a@example.org", "twice"), ("anna", "no mail address")]
        {
            assert!(read::<Addresses>(text).is_err_and(|why| why.contains(says)), "{text}");
        }
        assert_eq!(read::<SendTime>("30 5 * * Mon-Fri").as_deref(), Ok("30 5 * * Mon-Fri"));
        assert!(read::<SendTime>("* * * * *").is_err_and(|why| why.contains("once a day")));
        assert_eq!(read::<Zone>("Australia/Lord_Howe").as_deref(), Ok("Australia/Lord_Howe"));
        assert!(read::<Zone>("Detroit").is_err_and(|why| why.contains("Europe/Berlin")));
        let sites = "\n North yard: n@example.org at 05:30 in Europe/Berlin\nSouth: Hall 2: s@example.org";
        assert!(
            read::<Sites>(sites).is_err_and(|why| why.contains("no mail address")),
            "a name ends with its first colon"
        );
        let sites = "\n North yard: n@example.org at 05:30 in Europe/Berlin\nSouth: s@example.org, t@example.org at 0 6 * * Sat\n";
        let shown =
            "North yard: n@example.org at 05:30 in Europe/Berlin; South: s@example.org, t@example.org at 0 6 * * Sat";
        assert_eq!(read::<Sites>(sites).as_deref(), Ok(shown));
        assert_eq!(read::<Sites>(shown).as_deref(), Ok(shown));
        for (text, says) in [
            ("", "no site"),
            ("North yard", "perhaps with"),
            ("A: a@example.org; A: b@example.org", "twice"),
            ("A: a@example.org at noon", "neither a time"),
            ("A: a@example.org in Berlin", "no time zone"),
        ] {
            assert!(read::<Sites>(text).is_err_and(|why| why.contains(says)), "{text}");
        }
    }

    #[test]
    fn a_site_has_its_own_time_or_that_of_all() {
        let of = |text: &str| Some(text.to_owned().try_into().unwrap());
        let transfer = DailyMail {
            to: Some(Addresses::try_from("all@example.org".to_owned()).unwrap()),
            at: SendTime("07:00".into()),
            zone: Some(Zone(chrono_tz::America::Detroit)),
            sites: of("North: n@example.org at 05:30 in Europe/Berlin; South: s@example.org"),
        };
        let settings = Digest { transfer, health: DailyMail::default() }.settings("https://a.example".into());
        let now: DateTime<Utc> = "2026-11-20T00:00:00Z".parse().unwrap();
        let next: Vec<_> = settings
            .digests
            .iter()
            .map(|it| (it.of.to_string(), it.daily.next(now).unwrap().format("%H:%M").to_string()))
            .collect();
        let expected = [("transfer", "12:00"), ("transfer of North", "04:30"), ("transfer of South", "12:00")];
        assert_eq!(next, expected.map(|(of, at)| (of.to_owned(), at.to_owned())));
    }
}
