//! The operator's own certificate authority for seats, the certificate that it issues, and how a Secret keeps both.

use chrono::{DateTime, Datelike};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr};

use crate::cluster::secrets::Entries;
use crate::domain::Instant;
use crate::domain::certificate::{AUTHORITY, SERVER};

/// A certificate and its key, in PEM, and until when it lasts.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
    pub until: Instant,
}

/// An authority, and the certificate of the seat server that it has issued.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    pub authority: Pair,
    pub server: Pair,
    /// The name that the certificate is for.
    pub name: String,
}

impl Issued {
    /// Reads the entries of the Secret; `None` if any is missing or makes no sense.
    pub fn read(entries: &Entries) -> Option<Self> {
        let text = |name: &str| String::from_utf8(entries.get(name)?.0.clone()).ok();
        let pair = |of: &str| {
            let until = text(&format!("{of}.until"))?.parse().ok()?;
            let until = DateTime::from_timestamp(until, 0)?;
            Some(Pair { certificate: text(&format!("{of}.crt"))?, key: text(&format!("{of}.key"))?, until })
        };
        Some(Issued { authority: pair("ca")?, server: pair("tls")?, name: text("tls.name")? })
    }

    /// The entries of the Secret.
    pub fn entries(&self) -> Entries {
        let pair = |of: &str, pair: &Pair| {
            let until = pair.until.timestamp().to_string();
            [("crt", pair.certificate.clone()), ("key", pair.key.clone()), ("until", until)]
                .map(|(what, text)| (format!("{of}.{what}"), ByteString(text.into_bytes())))
        };
        let name = ("tls.name".to_owned(), ByteString(self.name.clone().into_bytes()));
        pair("ca", &self.authority).into_iter().chain(pair("tls", &self.server)).chain([name]).collect()
    }

    /// When a part of it is renewed next.
    pub fn renew_at(&self) -> Instant {
        AUTHORITY.renew_at(self.authority.until).min(SERVER.renew_at(self.server.until))
    }

    /// What is due at `now` for `name`, made on what was `before`; `None` if nothing is.
    pub fn due(before: Option<&Self>, name: &str, now: Instant) -> Result<Option<Self>, rcgen::Error> {
        let key = before.and_then(|before| KeyPair::from_pem(&before.authority.key).ok());
        let good = before.filter(|before| key.is_some() && now < AUTHORITY.renew_at(before.authority.until));
        if good.is_some_and(|good| good.name == name && now < SERVER.renew_at(good.server.until)) {
            return Ok(None);
        }
        // The key of an authority outlives its certificate: programs go on trusting it.
        let key = key.map_or_else(KeyPair::generate, Ok)?;
        let until = good.map_or_else(|| AUTHORITY.end(now), |good| good.authority.until);
        let authority = CertifiedIssuer::self_signed(of_authority(&key, now, until)?, key)?;
        let certificate = good.map_or_else(|| authority.pem(), |good| good.authority.certificate.clone());
        let key = KeyPair::generate()?;
        let server = Pair {
            certificate: of_server(name, now)?.signed_by(&key, &authority)?.pem(),
            key: key.serialize_pem(),
            until: SERVER.end(now),
        };
        let authority = Pair { certificate, key: authority.key().serialize_pem(), until };
        Ok(Some(Issued { authority, server, name: name.to_owned() }))
    }
}

fn of_authority(key: &KeyPair, now: Instant, until: Instant) -> Result<CertificateParams, rcgen::Error> {
    let mut params = lasting(Vec::new(), now, until)?;
    // Two authorities never have the same name, so nobody takes the one for a forgery of the other.
    let number: String = Sha256::digest(key.public_key_raw()).iter().take(6).map(|b| format!("{b:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("seatkeeper seats {number}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

/// For a Service under each of its names, and for a port that `kubectl port-forward` opens.
fn of_server(name: &str, now: Instant) -> Result<CertificateParams, rcgen::Error> {
    let mut names = vec![name.to_owned(), "localhost".to_owned()];
    if let Some(short) = name.strip_suffix(".svc") {
        names.extend([short.to_owned(), format!("{name}.cluster.local")]);
        names.extend(short.split_once('.').map(|(service, _)| service.to_owned()));
    }
    let mut params = lasting(names, now, SERVER.end(now))?;
    params.distinguished_name.push(DnType::CommonName, "seatkeeper seats");
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Clocks that are a little behind accept it: it begins the day before.
fn lasting(names: Vec<String>, now: Instant, until: Instant) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    // A certificate has no other years.
    let day = |at: Instant| date_time_ymd(at.year().clamp(1950, 9999), at.month() as u8, at.day().min(28) as u8);
    params.not_before = day(now.checked_sub_signed(chrono::Duration::days(1)).unwrap_or(now));
    params.not_after = day(until);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "seatkeeper.seatkeeper.svc";

    fn due(before: Option<&Issued>, name: &str, now: Instant) -> Option<Issued> {
        Issued::due(before, name, now).expect("a certificate can be made")
    }

    #[test]
    fn the_certificate_is_renewed_and_the_authority_keeps_its_key() {
        let now: Instant = "2026-11-30T09:00:00Z".parse().expect("a time");
        let first = due(None, NAME, now).expect("there was none");
        assert!(due(Some(&first), NAME, now).is_none());
        assert!(Issued::read(&first.entries()).as_ref() == Some(&first));
        let second = due(Some(&first), NAME, first.renew_at()).expect("it is due");
        assert!(second.authority == first.authority && second.server.key != first.server.key);
        let late = AUTHORITY.renew_at(first.authority.until);
        let third = due(Some(&second), NAME, late).expect("the authority is due");
        assert_eq!(third.authority.key, first.authority.key);
        assert!(third.authority.certificate != first.authority.certificate && third.authority.until > late);
        assert!(due(Some(&first), "other.seatkeeper.svc", now).is_some_and(|other| other.authority == first.authority));
    }

    #[test]
    fn a_secret_with_less_than_everything_is_as_good_as_none() {
        let now = Instant::UNIX_EPOCH;
        let whole = due(None, NAME, now).expect("there was none").entries();
        for name in whole.keys() {
            let mut less = whole.clone();
            less.remove(name);
            assert!(Issued::read(&less).is_none(), "{name}");
            less.insert(name.clone(), ByteString(vec![0xff]));
            assert!(Issued::read(&less).is_none(), "{name}");
        }
        assert!(Issued::read(&Entries::new()).is_none());
    }
}
