// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// tlsFiles is what settings say about TLS.
type tlsFiles struct {
	ca, cert, key string
	noVerify      bool // whoever answers is etcd
}

// config returns nil if nothing was said.
func (f tlsFiles) config() (*tls.Config, error) {
	if f == (tlsFiles{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.noVerify} //nolint:gosec // asked for by name
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("etcd: %s: %w", setCA, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd: %s %q: must have certificates in PEM", setCA, f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, fmt.Errorf("etcd: %s %q, %s %q: must be set together", setCert, f.cert, setKey, f.key)
	}
	if f.cert != "" {
		if _, err := f.load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.load() }
	}
	return c, nil
}

// load reads the certificate, for each connection: it is renewed while processes run.
func (f tlsFiles) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("etcd: %s %q, %s %q: %w", setCert, f.cert, setKey, f.key, err)
	}
	return &pair, nil
}
