// SPDX-License-Identifier: Apache-2.0

package static_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/static"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		c, err := static.New()
		if err != nil {
			t.Fatalf("%v", err)
		}
		return &discoverytest.Harness{
			Catalog: c,
			Seed:    func(q discovery.Query, instances []discovery.Instance) error { return c.Set(q, instances...) },
			Faults: map[discoverytest.Fault]discoverytest.Play{
				// Somebody edits the file the wrong way.
				discoverytest.Empty: func(discoverytest.TB) func() {
					back := replaceAll(c)
					return back
				},
			},
		}
	}, discoverytest.InBubble())
}

// replaceAll empties every service, and returns what puts back what was there.
func replaceAll(c *static.Catalog) func() {
	before := c.All()
	for q := range before {
		_ = c.Set(q)
	}
	return func() {
		for q, all := range before {
			_ = c.Set(q, all...)
		}
	}
}

func TestParse(t *testing.T) {
	c, err := static.Parse("dev", " order = 10.0.0.2:80 ,10.0.0.1:80;\n\npayment=Pay.internal:443;empty-lines-do-not-matter=a:1\n ")
	if err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]string{"order": "10.0.0.1:80 10.0.0.2:80", "payment": "pay.internal:443", "unknown": ""} {
		s, err := c.Watch(t.Context(), discovery.Query{Namespace: "dev", Service: service})
		if err != nil {
			t.Fatal(err)
		}
		u, err := s.Next(t.Context())
		var got []string
		for _, in := range u.Put {
			got = append(got, in.Address)
		}
		if err != nil || !u.Full || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v", service, got, err)
		}
	}
	if c, err := static.Parse("dev", ""); err != nil || c == nil {
		t.Errorf("nothing: %v", err)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	_, err := static.Parse("Dev", "order;order=10.0.0.1:0;order=a:1;bad name=b:1;x=;y=a:1,")
	for _, want := range []string{
		`namespace "Dev"`, `static: "order": must be service=address,address`, "port 0", `service "order": must not be there twice`,
		`service "bad name"`, `static: "x=": `, `static: "y=a:1,": `,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := static.Parse("dev", "order=a:1,A:1"); !errors.Is(err, discovery.ErrDuplicateID) {
		t.Errorf("the same address twice: %v", err)
	}
}

func TestSetRefuses(t *testing.T) {
	c, _ := static.Parse("dev", "order=a:1")
	q := discovery.Query{Namespace: "dev", Service: "order"}
	foreign := discovery.Instance{Namespace: "prod", Service: "order", Address: "b:1"}
	if err := c.Set(q, foreign); !errors.Is(err, discovery.ErrForeignNamespace) {
		t.Errorf("got %v", err)
	}
	if err := c.Set(q, discovery.Instance{Namespace: "dev", Service: "order", Address: "b:0"}); err == nil {
		t.Error("port 0 is taken")
	}
	if got := c.All()[q]; len(got) != 1 || got[0].Address != "a:1" {
		t.Errorf("after that: %v", got)
	}
}

// TestSameAgain: what is read again and is the same wakes nobody.
func TestSameAgain(t *testing.T) {
	c, _ := static.Parse("dev", "order=a:1,b:1")
	q := discovery.Query{Namespace: "dev", Service: "order"}
	s, err := c.Watch(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(q, c.All()[q]...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if u, err := s.Next(ctx); err == nil {
		t.Errorf("got %+v", u)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("order=10.0.0.2:80,10.0.0.1:80;payment=[::1]:443")
	f.Add("a=b:1\n;;=;,")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := static.Parse("dev", text)
		if err != nil {
			return
		}
		for q, all := range c.All() {
			for _, in := range all {
				if normal, err := in.Normalized(); err != nil || !normal.Equal(&in) || !q.Owns(&in) || q.Namespace != "dev" {
					t.Fatalf("%q made %+v", text, in)
				}
			}
		}
	})
}

func ExampleParse() {
	catalog, err := static.Parse("dev", "inventory=10.0.0.1:8443,10.0.0.2:8443")
	if err != nil {
		fmt.Println(err)
		return
	}
	watcher, _ := discovery.NewWatcher(catalog, "dev")
	defer watcher.Close()
	sub, _ := watcher.Subscribe(discovery.Query{Namespace: "dev", Service: "inventory"}, nil)
	_ = sub.Ready(context.Background())
	for in := range sub.Snapshot().Instances.All() {
		fmt.Println(in.Address)
	}
	// Output:
	// 10.0.0.1:8443
	// 10.0.0.2:8443
}
