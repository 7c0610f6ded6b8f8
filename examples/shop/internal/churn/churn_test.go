// SPDX-License-Identifier: Apache-2.0

package churn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/churn"
)

// fake is a shop that writes down what it is asked for.
type fake struct {
	instances []app.Instance
	number    int
	did       []string
	broken    bool
}

func (f *fake) Instances() []app.Instance { return f.instances }

func (f *fake) Add(_ context.Context, service string) (app.Instance, error) {
	if f.broken {
		return app.Instance{}, errors.New("no room")
	}
	f.number++
	i := app.Instance{Name: service, ID: fmt.Sprintf("%s-%d", service, f.number)}
	f.instances = append(f.instances, i)
	f.did = append(f.did, "add "+i.ID)
	return i, nil
}

func (f *fake) End(_ context.Context, id string) error { return f.remove("end ", id) }

func (f *fake) remove(how, id string) error {
	f.did = append(f.did, how+id)
	for n, i := range f.instances {
		if i.ID == id {
			f.instances = append(f.instances[:n], f.instances[n+1:]...)
		}
	}
	return nil
}

// mortal is a fake whose instances can die.
type mortal struct{ *fake }

func (m mortal) Kill(_ context.Context, id string) error { return m.remove("kill ", id) }

// run runs a churn for a time, in which there is room for six replacements.
func run(t *testing.T, shop churn.Shop, hooks churn.Hooks, services ...string) (events []churn.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := churn.New(shop, time.Second, hooks, services...)
		ctx, cancel := context.WithTimeout(t.Context(), 6500*time.Millisecond)
		defer cancel()
		c.Run(ctx)
		events = c.Events()
	})
	return events
}

func TestChurn(t *testing.T) {
	for name, tc := range map[string]struct {
		mortal bool
		want   string
	}{
		"instances end":          {false, "add a-1 add b-2 add a-3 end a-1 add b-4 end b-2 add a-5 end a-3 add b-6 end b-4 add a-7 end a-5 add b-8 end b-6"},
		"every other one killed": {true, "add a-1 add b-2 add a-3 end a-1 add b-4 end b-2 add a-5 kill a-3 add b-6 kill b-4 add a-7 end a-5 add b-8 end b-6"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			for _, service := range []string{"a", "b"} {
				if _, err := f.Add(t.Context(), service); err != nil {
					t.Fatal(err)
				}
			}
			var shop churn.Shop = f
			if tc.mortal {
				shop = mortal{f}
			}
			var gone []string
			events := run(t, shop, churn.Hooks{Farewell: func(_ context.Context, i app.Instance) { gone = append(gone, i.ID) }}, "a", "b")
			if diff := cmp.Diff(tc.want, strings.Join(f.did, " ")); diff != "" {
				t.Errorf("what was done (-want +got):\n%s", diff)
			}
			if added, ended := churn.Count(events, churn.Added), churn.Count(events, churn.Ended)+churn.Count(events, churn.Killed); added != 6 || ended != 6 {
				t.Errorf("%d added and %d ended or killed, want 6 each: %v", added, ended, events)
			}
			if got := strings.Join(gone, " "); got != "a-1 b-2 a-3 b-4 a-5 b-6" {
				t.Errorf("farewells to %s", got)
			}
		})
	}
}

// TestNobodyGoesWithoutAReplacement: where none can be started, or callers do not see it,
// the old one stays.
func TestNobodyGoesWithoutAReplacement(t *testing.T) {
	f := &fake{broken: true, instances: []app.Instance{{Name: "a", ID: "a-0"}}}
	events := run(t, f, churn.Hooks{}, "a")
	if len(f.did) > 0 || len(events) != 6 || events[0].Err == nil {
		t.Errorf("did %v, events %v; want an error each time, and nothing ended", f.did, events)
	}

	f = &fake{instances: []app.Instance{{Name: "a", ID: "a-0"}}}
	events = run(t, f, churn.Hooks{Await: func(ctx context.Context, _ app.Instance) error {
		<-ctx.Done()
		return ctx.Err()
	}}, "a")
	if churn.Count(events, churn.Ended) > 0 || f.instances[0].ID != "a-0" || !errors.Is(events[0].Err, context.DeadlineExceeded) {
		t.Errorf("events %v; want the first instance to stay", events)
	}
}
