//! TLS: certificates read from their files, and each way in which a handshake fails in words that say what to do.

use crate::uplink::settings::{FileError, TlsFiles};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{error::Error, fs, io, path::Path, sync::Arc};

/// Why there is no encrypted connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::uplink) enum TlsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "this machine has no CA certificates: install ca-certificates, or name the broker's CA as `ca_file`"
    )]
    NoCa,
    #[error("the broker's certificate has expired: renew it{0}")]
    Expired(String),
    #[error(
        "the broker's certificate is not valid yet{0}: is this machine's clock right? Set it, or wait for NTP"
    )]
    NotYetValid(String),
    #[error("the broker's certificate is for another name{0}: write in `url` a name that it has")]
    WrongName(String),
    #[error(
        "no CA that this gateway trusts has signed the broker's certificate: name the right one as `ca_file`"
    )]
    UnknownCa,
    #[error("the broker's certificate was revoked")]
    Revoked,
    #[error(
        "the broker refused this gateway's certificate ({0}): check `cert_file`, `key_file` and the broker's CA"
    )]
    ClientRefused(&'static str),
    #[error("the broker wants a certificate of this gateway: name it as `cert_file` and `key_file`")]
    ClientMissing,
    #[error("TLS: {0}")]
    Other(rustls::Error),
}

/// What the handshake needs. Reads the files.
pub(super) fn config(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Other)?;
    let builder = builder.with_root_certificates(roots(files)?);
    let Some((cert, key)) = &files.client else { return Ok(builder.with_no_client_auth()) };
    let certs = certificates("cert_file", cert)?;
    let private = PrivateKeyDer::from_pem_slice(&read("key_file", key)?).map_err(|error| {
        FileError::new("key_file", key, format!("it holds no private key as PEM: {error}"))
    })?;
    builder.with_client_auth_cert(certs, private).map_err(|error| {
        FileError::new("key_file", key, format!("it does not go with the certificate: {error}")).into()
    })
}

fn roots(files: &TlsFiles) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match &files.ca {
        Some(ca) => {
            for certificate in certificates("ca_file", ca)? {
                roots.add(certificate).map_err(|error| FileError::new("ca_file", ca, error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoCa);
            }
        }
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = read(key, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(FileError::new(key, path, "it holds no certificate as PEM"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(FileError::new(key, path, format!("it is no PEM: {error}"))),
    }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|error| FileError::new(key, path, error))
}

/// What TLS says in `error`, if it says anything: the client hides it under layers of its own.
pub(super) fn find(error: &(dyn Error + 'static)) -> Option<TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(explain(found));
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn explain(error: &rustls::Error) -> TlsError {
    match error {
        rustls::Error::InvalidCertificate(error) => explain_certificate(error),
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => TlsError::ClientRefused("it has expired"),
            AlertDescription::CertificateRevoked => TlsError::ClientRefused("it was revoked"),
            AlertDescription::UnknownCA => TlsError::ClientRefused("its CA is unknown there"),
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => TlsError::ClientRefused("it does not say why"),
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
                TlsError::ClientMissing
            }
            _ => TlsError::Other(error.clone()),
        },
        _ => TlsError::Other(error.clone()),
    }
}

fn explain_certificate(error: &CertificateError) -> TlsError {
    let since = |until: rustls::pki_types::UnixTime, what| {
        let at = i64::try_from(until.as_secs()).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
        at.map_or(String::new(), |at| format!(" ({what} {at})"))
    };
    match error {
        CertificateError::Expired => TlsError::Expired(String::new()),
        CertificateError::ExpiredContext { not_after, .. } => {
            TlsError::Expired(since(*not_after, "it ended"))
        }
        CertificateError::NotValidYet => TlsError::NotYetValid(String::new()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsError::NotYetValid(since(*not_before, "it begins"))
        }
        CertificateError::NotValidForName => TlsError::WrongName(String::new()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().take(4).map(String::as_str).collect();
            TlsError::WrongName(format!(" ({})", names.join(", ")))
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsError::UnknownCa,
        CertificateError::Revoked => TlsError::Revoked,
        _ => TlsError::Other(rustls::Error::InvalidCertificate(error.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(error: impl Error + Send + Sync + 'static, expected: Expect) {
        let hidden = io::Error::other(io::Error::other(error));
        expected.assert_eq(&find(&hidden).map_or("nothing".into(), |error| error.to_string()));
    }

    #[test]
    fn what_is_hidden_is_found_and_said_in_words() {
        check(
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
            expect!["the broker wants a certificate of this gateway: name it as `cert_file` and `key_file`"],
        );
        check(
            rustls::Error::AlertReceived(AlertDescription::UnknownCA),
            expect![
                "the broker refused this gateway's certificate (its CA is unknown there): check `cert_file`, `key_file` and the broker's CA"
            ],
        );
        check(
            rustls::Error::InvalidCertificate(CertificateError::Revoked),
            expect!["the broker's certificate was revoked"],
        );
        check(io::Error::other("no TLS"), expect!["nothing"]);
    }

    #[test]
    fn files_that_will_not_do_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        let mut files = TlsFiles { ca: Some(ca.clone()), client: None };
        let error = |files: &TlsFiles| {
            config(files).unwrap_err().to_string().replace(&*dir.path().to_string_lossy(), "DIR")
        };
        expect!["DIR/ca.pem: No such file or directory (os error 2); `ca_file` under [uplink] in gateway.toml names it"].assert_eq(&error(&files));
        fs::write(&ca, "nothing").unwrap();
        expect![
            "DIR/ca.pem: it holds no certificate as PEM; `ca_file` under [uplink] in gateway.toml names it"
        ]
        .assert_eq(&error(&files));
        files = TlsFiles { ca: None, client: Some((ca.clone(), ca)) };
        assert!(matches!(config(&files), Err(TlsError::File(_) | TlsError::NoCa)));
    }
}
