// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
)

// policy is the one in the package's documentation.
const policy = `service_prefix "prod--" { policy = "write" } node_prefix "" { policy = "read" }`

// TestAccessControl: with tokens, Consul itself keeps environments apart, and what it
// refuses is an error, though it answers with an empty list.
func TestAccessControl(t *testing.T) {
	t.Parallel()
	s := devAgent(t, `-hcl=acl { enabled = true default_policy = "deny" tokens { initial_management = "`+management+`" agent = "`+management+`" } }`)
	var rules, token struct{ ID, SecretID, AccessorID string }
	if err := s.do(http.MethodPut, "/v1/acl/policy", fmt.Sprintf(`{"Name":"order","Rules":%q}`, policy), &rules); err != nil {
		t.Fatal(err)
	}
	if err := s.do(http.MethodPut, "/v1/acl/token", fmt.Sprintf(`{"Policies":[{"ID":%q}]}`, rules.ID), &token); err != nil {
		t.Fatal(err)
	}
	b := newBackend(t, consul.WithAddress(s.address), consul.WithToken(token.SecretID))
	in := discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.1:80"}
	r := registration(t, b, in)
	register(t, r, time.Minute, discovery.HealthPassing)
	waitFor(t, "it is seen", 5*time.Second, func() bool {
		_, err := r.Lookup(t.Context())
		if err != nil && !errors.Is(err, discovery.ErrUnknownRegistration) {
			t.Fatal(err)
		}
		return err == nil
	})
	if u := next(t, watch(t, b, order)); len(u.Put) != 1 {
		t.Errorf("a watch sees %v", u.Put)
	}
	if u := next(t, watch(t, b, discovery.Query{Namespace: "prod", Service: "none"})); len(u.Put) != 0 {
		t.Errorf("a watch of a service of which there is nothing sees %v", u.Put)
	}
	if c, err := b.Inspect(t.Context()); err != nil || len(c.Members) != 1 || c.Leader != c.Members[0].Name {
		t.Errorf("Inspect without operator:read: %+v, %v", c, err)
	}

	denied := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, consul.ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	in.Namespace = "dev"
	_, err := registration(t, b, in).Register(t.Context(), time.Minute, discovery.HealthPassing)
	denied("registering in another environment", err)
	_, err = b.Entries(t.Context(), "prod")
	denied("a list from which the names of others are left out", err)
	all := newBackend(t, consul.WithAddress(s.address), consul.WithToken(management))
	register(t, registration(t, all, in), time.Minute, discovery.HealthPassing)
	dev := discovery.Query{Namespace: "dev", Service: "order"}
	waitFor(t, "it is in the other environment", 5*time.Second, func() bool { return len(next(t, watch(t, all, dev)).Put) == 1 })
	for name, b := range map[string]*consul.Backend{
		"watching another environment":      b,
		"watching without a token":          newBackend(t, consul.WithAddress(s.address)),
		"watching with a token of nobody's": newBackend(t, consul.WithAddress(s.address), consul.WithToken("00000000-0000-0000-0000-00000000000b")),
	} {
		denied(name, first(t, b, dev))
	}

	// The token is revoked, and comes back.
	if err := s.do(http.MethodDelete, "/v1/acl/token/"+token.AccessorID, "", nil); err != nil {
		t.Fatal(err)
	}
	_, err = r.Heartbeat(t.Context(), discovery.HealthPassing)
	denied("a heartbeat with a token that was revoked", err)
	denied("a watch with a token that was revoked", first(t, b, order))
}
