// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"strings"

	"github.com/fairlead-go/fairlead/discovery"
)

// separator stands between the environment and the service in the name of a service in
// Consul, as in "prod--order".
const separator = "--"

// naming says under which names instances stand in Consul.
type naming struct {
	// native says that each environment is a namespace of Consul Enterprise, so that it
	// need not be part of the name.
	native bool
}

// service returns the name of a service in Consul. Two queries never have the same one,
// in whatever case Consul compares them: that the environment ends at the first
// separator is because it has none inside of it any more, and begins and ends with a
// letter or a digit.
func (n naming) service(q discovery.Query) string {
	if n.native {
		return folded(q.Service)
	}
	return n.prefix(q.Namespace) + folded(q.Service)
}

// prefix is what the names of all services of an environment begin with, and none of
// another.
func (n naming) prefix(ns discovery.Namespace) string {
	if n.native {
		return ""
	}
	return strings.ReplaceAll(string(ns), "--", "-_") + separator
}

// query is the inverse of service, for names of an environment.
func (n naming) query(ns discovery.Namespace, service string) (discovery.Query, bool) {
	rest, ok := strings.CutPrefix(service, n.prefix(ns))
	name, plain := unfolded(rest)
	q := discovery.Query{Namespace: ns, Service: name}
	return q, ok && plain && q.Validate() == nil
}

// namespace returns the Consul namespace of an environment; empty if it is the one of
// all requests.
func (n naming) namespace(ns discovery.Namespace) string {
	if n.native {
		return string(ns)
	}
	return ""
}

// id returns the id of an instance's service in its agent, such as
// "prod--order:order@10.0.0.7:8443". Names of services have no colon.
func (n naming) id(k discovery.Key) string { return n.service(k.Query()) + ":" + folded(k.ID) }

// instance is the inverse of id.
func (n naming) instance(q discovery.Query, id string) (string, bool) {
	rest, ok := strings.CutPrefix(id, n.service(q)+":")
	text, plain := unfolded(rest)
	return text, ok && plain
}

// checkID returns the id of the check of an instance, as Consul itself would name it.
func checkID(serviceID string) string { return "service:" + serviceID }

// folded writes upper case as "!" and lower case, as Go does with the paths of modules:
// Consul finds services and ids without regard to case.
func folded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			b.WriteByte('!')
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unfolded is the inverse of folded. It takes nothing else.
func unfolded(s string) (text string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			return "", false
		}
		if c == '!' {
			if i++; i == len(s) || s[i] < 'a' || s[i] > 'z' {
				return "", false
			}
			c = s[i] - 'a' + 'A'
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
