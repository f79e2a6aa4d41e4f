//! TLS towards stores: one crypto provider, certificates always verified.

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject as _};
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
