// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"strconv"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
)

// The names of the settings, as in a configuration file and in [Backend.Settings].
const (
	setAddress       = "address"
	setSSL           = "ssl"
	setVerify        = "ssl_verify"
	setToken         = "token"
	setTokenFile     = "token_file"
	setAuth          = "http_auth"
	setCAFile        = "ca_file"
	setCAPath        = "ca_path"
	setCertFile      = "client_cert"
	setKeyFile       = "client_key"
	setTLSServerName = "tls_server_name"
	setNamespace     = "namespace"
	setPartition     = "partition"
	setDatacenter    = "datacenter"
	setWait          = "wait"
)

// FromEnv returns a back end with the settings that Consul's own tools take from the
// environment, or else those of the file that the settings were given. Options win over
// both.
//
//	settings := discovery.NewSettings(os.LookupEnv)
//	registry, err := consul.FromEnv(settings)
//
//	variable                 in a file
//	CONSUL_HTTP_ADDR         address
//	CONSUL_HTTP_SSL          ssl
//	CONSUL_HTTP_SSL_VERIFY   ssl_verify
//	CONSUL_HTTP_TOKEN        token
//	CONSUL_HTTP_TOKEN_FILE   token_file, wins over token
//	CONSUL_HTTP_AUTH         http_auth, "user:password"
//	CONSUL_CACERT            ca_file
//	CONSUL_CAPATH            ca_path
//	CONSUL_CLIENT_CERT       client_cert
//	CONSUL_CLIENT_KEY        client_key
//	CONSUL_TLS_SERVER_NAME   tls_server_name
//	CONSUL_NAMESPACE         namespace, of Consul Enterprise
//	CONSUL_PARTITION         partition, of Consul Enterprise
//	                         datacenter
//	                         wait
//
// See https://developer.hashicorp.com/consul/commands#environment-variables. Values that
// make no sense, and values of the file that nobody asked for by then, are errors.
func FromEnv(s *discovery.Settings, opts ...Option) (*Backend, error) {
	c := defaultConfig()
	text := func(to *string, name string, variables ...string) { *to = s.String(name, *to, variables...) }
	text(&c.address, setAddress, api.HTTPAddrEnvName)
	c.ssl = s.Bool(setSSL, c.ssl, api.HTTPSSLEnvName)
	c.verify = s.Bool(setVerify, c.verify, api.HTTPSSLVerifyEnvName)
	c.token = s.Secret(setToken, api.HTTPTokenEnvName)
	text(&c.tokenFile, setTokenFile, api.HTTPTokenFileEnvName)
	c.auth = s.Secret(setAuth, api.HTTPAuthEnvName)
	text(&c.caFile, setCAFile, api.HTTPCAFile)
	text(&c.caPath, setCAPath, api.HTTPCAPath)
	text(&c.certFile, setCertFile, api.HTTPClientCert)
	text(&c.keyFile, setKeyFile, api.HTTPClientKey)
	text(&c.tlsServerName, setTLSServerName, api.HTTPTLSServerName)
	text(&c.namespace, setNamespace, api.HTTPNamespaceEnvName)
	text(&c.partition, setPartition, api.HTTPPartitionEnvName)
	text(&c.datacenter, setDatacenter)
	c.wait = s.Duration(setWait, c.wait)
	for _, setting := range s.All() {
		c.sources[setting.Name] = setting.Source
	}
	if c.source(setToken) == api.HTTPTokenEnvName && c.source(setTokenFile) != api.HTTPTokenFileEnvName {
		c.tokenFile = "" // of the file, and the environment wins
	}
	if err := s.Err(); err != nil {
		c.errs = append(c.errs, err)
	}
	return newBackend(c, opts)
}

// sourceDefault is what a setting that nobody set comes from, as in [discovery.Setting].
const sourceDefault = "default"

func (c *config) source(name string) string {
	if s, ok := c.sources[name]; ok {
		return s
	}
	return sourceDefault
}

// settings returns the effective values.
func (c *config) settings() []discovery.Setting {
	row := func(name, value string) discovery.Setting {
		return discovery.Setting{Name: name, Value: value, Source: c.source(name)}
	}
	secret := func(name, value string) discovery.Setting {
		if value != "" {
			value = "(set)"
		}
		return row(name, value)
	}
	return []discovery.Setting{
		row(setAddress, withoutPassword(c.address)), row(setSSL, strconv.FormatBool(c.ssl)), row(setVerify, strconv.FormatBool(c.verify)),
		secret(setToken, c.token), row(setTokenFile, c.tokenFile), secret(setAuth, c.auth),
		row(setCAFile, c.caFile), row(setCAPath, c.caPath), row(setCertFile, c.certFile), row(setKeyFile, c.keyFile),
		row(setTLSServerName, c.tlsServerName), row(setNamespace, c.namespace), row(setPartition, c.partition),
		row(setDatacenter, c.datacenter), row(setWait, c.wait.String()),
	}
}
