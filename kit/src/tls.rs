//! TLS: towards stores with certificates always verified, towards clients with one of ours. One crypto provider.

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{path::Path, sync::Arc};

/// Makes aws-lc-rs the process's crypto provider. Call first in `main`; a second call changes nothing.
pub fn install_provider() {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was installed before");
    }
}

/// A client configuration that verifies names and chains against `ca_file`, or against the machine's roots when there is none.
///
/// # Errors
/// A text for the operator when no root can be read.
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let certificates = CertificateDer::pem_file_iter(path).map_err(|e| format!("{}: {e}", path.display()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| format!("{}: {e}", path.display()))?;
            roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    } else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for certificate in rustls_native_certs::load_native_certs().certs {
            // A machine's store may hold certificates that rustls does not take; the others still count.
            if let Err(error) = roots.add(certificate) {
                tracing::debug!(%error, "a root certificate of this machine was left out");
            }
        }
    }
    if roots.is_empty() {
        return Err("no root certificate found: install ca-certificates or set sslrootcert".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

/// A server configuration with the certificate chain and the private key of these PEM files. Clients show no certificate.
///
/// # Errors
/// A text for the operator when a file cannot be read, or the two do not belong together.
pub fn server_config(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, String> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(cert_file).and_then(Iterator::collect).map_err(|error| at(cert_file, &error))?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| at(key_file, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_no_client_auth();
    config.with_single_cert(chain, key).map_err(|error| at(cert_file, &error))
}
