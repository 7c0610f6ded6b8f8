// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/fairlead-go/fairlead/discovery"
)

// settingsOptions reads the settings, under the names that etcdctl has for its flags and
// variables, and returns what they mean. See
// https://github.com/etcd-io/etcd/blob/main/etcdctl/README.md.
func settingsOptions(s *discovery.Settings) ([]Option, error) {
	endpoints := s.List("endpoints", DefaultEndpoint, "ETCD_ENDPOINTS", "ETCDCTL_ENDPOINTS")
	prefix := s.String("prefix", DefaultPrefix)
	user := s.Secret("user", "ETCDCTL_USER") // it may have the password behind it
	password := s.Secret("password", "ETCDCTL_PASSWORD")
	files := tlsFiles{
		ca:   s.String("cacert", "", "ETCDCTL_CACERT"),
		cert: s.String("cert", "", "ETCDCTL_CERT"),
		key:  s.String("key", "", "ETCDCTL_KEY"),
		any:  s.Bool("insecure-skip-tls-verify", false, "ETCDCTL_INSECURE_SKIP_TLS_VERIFY"),
	}
	plaintext := s.Bool("insecure-transport", false, "ETCDCTL_INSECURE_TRANSPORT")
	connectTimeout := s.Duration("dial-timeout", DefaultConnectTimeout, "ETCDCTL_DIAL_TIMEOUT")
	keepAliveTime := s.Duration("keepalive-time", DefaultKeepAliveTime, "ETCDCTL_KEEPALIVE_TIME")
	keepAliveTimeout := s.Duration("keepalive-timeout", DefaultKeepAliveTimeout, "ETCDCTL_KEEPALIVE_TIMEOUT")
	tlsConfig, err := files.config()
	if err := errors.Join(s.Err(), err); err != nil {
		return nil, err
	}
	opts := []Option{
		WithEndpoints(endpoints...), WithPrefix(prefix),
		WithConnectTimeout(connectTimeout), WithKeepAlive(keepAliveTime, keepAliveTimeout),
	}
	if name, secret, ok := strings.Cut(user, ":"); ok && password == "" {
		user, password = name, secret
	}
	if user != "" || password != "" {
		opts = append(opts, WithUser(user, password))
	}
	if tlsConfig != nil {
		opts = append(opts, WithTLS(tlsConfig))
	}
	if plaintext {
		opts = append(opts, withPlaintext())
	}
	return opts, nil
}

// tlsFiles is what etcdctl can be told about TLS.
type tlsFiles struct {
	ca, cert, key string
	any           bool // no verification of who is there
}

// config returns nil if nothing was told.
func (f tlsFiles) config() (*tls.Config, error) {
	if f == (tlsFiles{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.any} //nolint:gosec // asked for by name
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("etcd: cacert: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd: cacert %q: must have certificates in PEM", f.ca)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, fmt.Errorf("etcd: cert %q, key %q: must be set together", f.cert, f.key)
	}
	if f.cert != "" {
		// Read for each connection: certificates are renewed while processes run.
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(f.cert, f.key)
			if err != nil {
				return nil, fmt.Errorf("etcd: cert %q, key %q: %w", f.cert, f.key, err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}
