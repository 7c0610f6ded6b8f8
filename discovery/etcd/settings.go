// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"strconv"
	"strings"

	"github.com/fairlead-go/fairlead/discovery"
)

// The names of the settings, as in a configuration file and in [Backend.Settings]. They
// are those of etcdctl's flags.
const (
	setEndpoints        = "endpoints"
	setPrefix           = "prefix"
	setUser             = "user"
	setPassword         = "password"
	setCA               = "cacert"
	setCert             = "cert"
	setKey              = "key"
	setNoVerify         = "insecure-skip-tls-verify"
	setPlaintext        = "insecure-transport"
	setConnectTimeout   = "dial-timeout"
	setKeepAliveTime    = "keepalive-time"
	setKeepAliveTimeout = "keepalive-timeout"
)

const (
	sourceDefault = "default"
	sourceOption  = "option"
)

// FromEnv returns a back end with the settings that etcdctl takes from the environment,
// or else those of the file that the settings were given. Options win over both.
//
//	settings := discovery.NewSettings(os.LookupEnv)
//	registry, err := etcd.FromEnv(settings)
//
//	variable                           in a file
//	ETCD_ENDPOINTS, ETCDCTL_ENDPOINTS  endpoints, with commas between them
//	                                   prefix
//	ETCDCTL_USER                       user, which may be "name:password"
//	ETCDCTL_PASSWORD                   password
//	ETCDCTL_CACERT                     cacert, a file in PEM
//	ETCDCTL_CERT                       cert, a file in PEM
//	ETCDCTL_KEY                        key, a file in PEM
//	ETCDCTL_INSECURE_SKIP_TLS_VERIFY   insecure-skip-tls-verify
//	ETCDCTL_INSECURE_TRANSPORT         insecure-transport: no TLS without a scheme
//	ETCDCTL_DIAL_TIMEOUT               dial-timeout
//	ETCDCTL_KEEPALIVE_TIME             keepalive-time
//	ETCDCTL_KEEPALIVE_TIMEOUT          keepalive-timeout
//
// Other than for etcdctl, an endpoint without a scheme is one with TLS, unless
// insecure-transport says otherwise. The files of a certificate and its key are read for
// each connection, so that they can be renewed. See
// https://github.com/etcd-io/etcd/blob/main/etcdctl/README.md. Values that make no sense,
// and values of the file that nobody asked for by then, are errors.
func FromEnv(s *discovery.Settings, opts ...Option) (*Backend, error) {
	c := defaultConfig()
	c.endpoints = s.List(setEndpoints, DefaultEndpoint, "ETCD_ENDPOINTS", "ETCDCTL_ENDPOINTS")
	c.prefix = s.String(setPrefix, c.prefix)
	c.user = s.Secret(setUser, "ETCDCTL_USER") // the password may be behind it
	c.password = s.Secret(setPassword, "ETCDCTL_PASSWORD")
	c.files = tlsFiles{
		ca:       s.String(setCA, "", "ETCDCTL_CACERT"),
		cert:     s.String(setCert, "", "ETCDCTL_CERT"),
		key:      s.String(setKey, "", "ETCDCTL_KEY"),
		noVerify: s.Bool(setNoVerify, false, "ETCDCTL_INSECURE_SKIP_TLS_VERIFY"),
	}
	c.plaintext = s.Bool(setPlaintext, false, "ETCDCTL_INSECURE_TRANSPORT")
	c.connectTimeout = s.Duration(setConnectTimeout, c.connectTimeout, "ETCDCTL_DIAL_TIMEOUT")
	c.keepAliveTime = s.Duration(setKeepAliveTime, c.keepAliveTime, "ETCDCTL_KEEPALIVE_TIME")
	c.keepAliveTimeout = s.Duration(setKeepAliveTimeout, c.keepAliveTimeout, "ETCDCTL_KEEPALIVE_TIMEOUT")
	for _, setting := range s.All() {
		c.sources[setting.Name] = setting.Source
	}
	if err := s.Err(); err != nil {
		c.errs = append(c.errs, err)
	}
	return newBackend(c, opts)
}

// row returns the effective value of a setting.
func (c *config) row(name, value string) discovery.Setting {
	source := c.sources[name]
	if source == "" {
		source = sourceDefault
	}
	return discovery.Setting{Name: name, Value: value, Source: source}
}

// given returns what is known of a client that was given.
func (c *config) given() []discovery.Setting {
	return []discovery.Setting{c.row(setEndpoints, strings.Join(c.endpoints, ",")), c.row(setPrefix, c.prefix)}
}

// settings returns the effective values.
func (c *config) settings() []discovery.Setting {
	secret := func(name, value string) discovery.Setting {
		if value != "" {
			value = "(set)"
		}
		return c.row(name, value)
	}
	return []discovery.Setting{
		c.row(setEndpoints, strings.Join(c.endpoints, ",")), c.row(setPrefix, c.prefix),
		secret(setUser, c.user), secret(setPassword, c.password),
		c.row(setCA, c.files.ca), c.row(setCert, c.files.cert), c.row(setKey, c.files.key),
		c.row(setNoVerify, strconv.FormatBool(c.tls != nil && c.tls.InsecureSkipVerify)), c.row(setPlaintext, strconv.FormatBool(c.plaintext)),
		c.row(setConnectTimeout, c.connectTimeout.String()),
		c.row(setKeepAliveTime, c.keepAliveTime.String()), c.row(setKeepAliveTimeout, c.keepAliveTimeout.String()),
	}
}
