// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"fmt"
	"strings"
)

// Namespace is an environment, such as "prod" or "staging-eu": what is registered
// in one is never seen from another. It is part of every registration and of every
// query.
//
// It is a DNS label (RFC 1123): 1 to 63 of a-z, 0-9 and "-", with a letter or a
// digit at each end. That is what every registry's own means of isolation takes,
// and nothing in it can be taken for a path, a pattern or another spelling of the
// same name. The zero value is invalid.
type Namespace string

// DefaultNamespace is the environment of a process that was told none: one in
// which it cannot do harm.
const DefaultNamespace Namespace = "dev"

// maxNamespace is the length of a DNS label.
const maxNamespace = 63

// Validate returns an error that says what is wrong with the name, or nil.
func (ns Namespace) Validate() error {
	if reason := ns.fault(); reason != "" {
		return fmt.Errorf("discovery: namespace %q: %s", string(ns), reason)
	}
	return nil
}

func (ns Namespace) fault() string {
	switch {
	case ns == "":
		return "must not be empty: every registration and query belongs to an environment"
	case len(ns) > maxNamespace:
		return fmt.Sprintf("must have at most %d characters, and has %d", maxNamespace, len(ns))
	}
	for i := range len(ns) {
		if c := ns[i]; !isLower(c) && !isDigit(c) && c != '-' {
			return "must be of a-z, 0-9 and -"
		}
	}
	if ns[0] == '-' || ns[len(ns)-1] == '-' {
		return "must begin and end with a letter or a digit"
	}
	return ""
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// The environment as OpenTelemetry states it, so that there is one place to say
// it. See https://opentelemetry.io/docs/specs/semconv/resource/deployment-environment/.
const (
	resourceVariable = "OTEL_RESOURCE_ATTRIBUTES"
	environmentKey   = "deployment.environment.name"
	oldEnvironment   = "deployment.environment"
	zoneKey          = "cloud.availability_zone"
)

// ZoneFromEnv returns the zone that the process runs in, for [Instance]: the
// attribute cloud.availability_zone of OTEL_RESOURCE_ATTRIBUTES, or "". lookup is
// [os.LookupEnv]. See https://opentelemetry.io/docs/specs/semconv/resource/cloud/.
func ZoneFromEnv(lookup func(string) (string, bool)) (string, Setting) {
	attributes, _ := lookup(resourceVariable)
	if value, ok := resourceAttribute(attributes, zoneKey); ok {
		return value, Setting{Name: "zone", Value: value, Source: resourceVariable + " " + zoneKey}
	}
	return "", Setting{Name: "zone", Source: sourceDefault}
}

// NamespaceFromEnv returns the environment that the process runs in: the attribute
// deployment.environment.name (or deployment.environment, its old name) of
// OTEL_RESOURCE_ATTRIBUTES, and [DefaultNamespace] if there is none. lookup is
// [os.LookupEnv]. The setting says where the value came from. A value that is no
// namespace is an error, never the default: a misspelt environment is not dev.
func NamespaceFromEnv(lookup func(string) (string, bool)) (Namespace, Setting, error) {
	attributes, _ := lookup(resourceVariable)
	for _, key := range []string{environmentKey, oldEnvironment} {
		value, ok := resourceAttribute(attributes, key)
		if !ok {
			continue
		}
		s := Setting{Name: "namespace", Value: value, Source: resourceVariable + " " + key}
		if err := Namespace(value).Validate(); err != nil {
			return "", s, fmt.Errorf("%w (from %s)", err, s.Source)
		}
		return Namespace(value), s, nil
	}
	return DefaultNamespace, Setting{Name: "namespace", Value: string(DefaultNamespace), Source: sourceDefault}, nil
}

// resourceAttribute finds a key in "a=b,c=d". The last one counts, as for the SDK.
func resourceAttribute(attributes, key string) (value string, found bool) {
	for pair := range strings.SplitSeq(attributes, ",") {
		if k, v, ok := strings.Cut(pair, "="); ok && strings.TrimSpace(k) == key {
			value, found = strings.TrimSpace(v), true
		}
	}
	return value, found
}
