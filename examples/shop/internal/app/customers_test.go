// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// maxTries is how often what takes real time is tried. A machine that is busy with
// other things spoils it, and policies then rightly do what they should not here.
const maxTries = 2

// standstill is how late a customer may be. Should the machine be later than that each
// time, there is nothing to be learned from it.
const standstill = 100 * time.Millisecond

// verdict is what was wrong with one try.
type verdict struct {
	faults []string

	mu   sync.Mutex
	late time.Duration // the latest customer
}

func (v *verdict) isLate(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.late = max(v.late, d)
}

func (v *verdict) errorf(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// patiently fails the test if each of some tries finds something wrong.
func patiently(t *testing.T, try func(*verdict)) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes real time")
	}
	for n := 1; ; n++ {
		var v verdict
		try(&v)
		if len(v.faults) == 0 || t.Failed() {
			return
		}
		text := strings.Join(v.faults, "\n")
		switch {
		case raceEnabled: // which takes the machine's time for itself, and looks for something else
			t.Skip(text)
		case n < maxTries:
		case v.late > standstill:
			t.Skipf("the machine stood still for %v: %s", v.late, text)
		default:
			t.Fatal(text)
		}
		t.Logf("try %d: %s", n, text)
	}
}

// answer is what a customer got.
type answer struct {
	asked  time.Duration // after the first one
	took   time.Duration
	status int
	header http.Header
	err    error // of an answer that says no
}

// answers are those of several customers.
type answers []answer

// share returns the fraction that had a status.
func (a answers) share(status int) float64 {
	if len(a) == 0 {
		return 0
	}
	return float64(a.count(status)) / float64(len(a))
}

func (a answers) count(status int) (n int) {
	for _, one := range a {
		if one.status == status {
			n++
		}
	}
	return n
}

// degraded returns how many answers were not all that was asked for.
func (a answers) degraded() (n int) {
	for _, one := range a {
		if one.header.Get(httpmw.HeaderDegraded) != "" {
			n++
		}
	}
	return n
}

// between returns those who asked in a time.
func (a answers) between(from, to time.Duration) answers {
	return slices.DeleteFunc(slices.Clone(a), func(one answer) bool { return one.asked < from || one.asked >= to })
}

// within returns the time in which a fraction was answered.
func (a answers) within(fraction float64) time.Duration {
	var took []time.Duration
	for _, one := range a {
		took = append(took, one.took)
	}
	slices.Sort(took)
	if len(took) == 0 {
		return 0
	}
	return took[min(len(took)-1, int(fraction*float64(len(took))))]
}

// bazaar is a shop with customers, and everything that it tells is checked at its end.
type bazaar struct {
	t    *testing.T
	v    *verdict
	dir  string // of the databases
	shop app.Shop
	rec  *telemetrytest.Recorder // nil: nothing is known of the telemetry

	client *http.Client
	url    string
}

// open opens the shop with what is wrong and a folder of policies.
func open(t *testing.T, v *verdict, fault, policies string) *bazaar {
	t.Helper()
	faults, err := chaos.Parse(fault)
	if err != nil {
		t.Fatal(err)
	}
	return openWith(t, v, app.Config{Faults: faults, Policies: policies})
}

// openWith opens the shop in this process.
func openWith(t *testing.T, v *verdict, cfg app.Config) *bazaar {
	t.Helper()
	b := newBazaar(t, v)
	b.rec = telemetrytest.NewRecorder()
	cfg.Dir, cfg.Observe = b.dir, observed(b.rec, "").Observe
	var err error
	if b.shop, err = app.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	b.enter()
	return b
}

func newBazaar(t *testing.T, v *verdict) *bazaar {
	return &bazaar{t: t, v: v, dir: t.TempDir(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}}
}

// enter finds the gateway.
func (b *bazaar) enter() {
	for _, i := range b.shop.Instances() {
		if i.Name == app.Gateway {
			b.url = "http://" + i.Addresses.HTTP
		}
	}
}

// close closes the shop and looks whether all that was told of it agrees.
func (b *bazaar) close() *telemetrytest.Run {
	b.t.Helper()
	b.client.CloseIdleConnections()
	stop(b.t, b.shop)
	if b.rec == nil {
		return nil
	}
	run := b.rec.Run(b.t)
	telemetrytest.Check(b.t, run, housekeeping)
	return run
}

const orderBody = `{"customer":"ada","sku":"mug-blue","quantity":1,"card":"tok_ok"}`

// buy has customers place orders at a rate for a time, whether or not those before
// them have an answer.
func (b *bazaar) buy(perSecond int, d time.Duration) answers {
	return b.crowd(perSecond, d, http.MethodPost, "/orders", orderBody)
}

// look has customers look at an article.
func (b *bazaar) look(perSecond int, d time.Duration) answers {
	return b.crowd(perSecond, d, http.MethodGet, "/articles/mug-blue", "")
}

func (b *bazaar) crowd(perSecond int, d time.Duration, method, path, body string) answers {
	var customers sync.WaitGroup
	all := make(answers, int(d.Seconds()*float64(perSecond)))
	start := time.Now()
	for i := range all {
		// Whoever is late comes at once: a machine that is busy makes them no fewer.
		turn := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		<-time.After(time.Until(turn))
		b.v.isLate(time.Since(turn))
		all[i].asked = time.Since(start)
		customers.Go(func() { b.ask(&all[i], method, path, body) })
	}
	customers.Wait()
	return all
}

func (b *bazaar) ask(a *answer, method, path, body string) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Error(err)
		return
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Errorf("%s %s was not answered: %v", method, path, err)
		return
	}
	defer resp.Body.Close()
	a.took, a.status, a.header, a.err = time.Since(begin), resp.StatusCode, resp.Header, httpmw.CheckResponse(resp)
}

// policies returns what the policies did so far.
func (b *bazaar) policies() report.Policies {
	b.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var services []report.Metrics
	for _, i := range b.shop.Instances() {
		services = append(services, report.Metrics{Service: i.Name, URL: "http://" + i.Admin + "/metrics"})
	}
	p, err := report.ReadPolicies(b.t.Context(), client, services...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("what the policies did\n%s", p.Render())
	return p
}

// changes returns those of the breaker that a service has in front of another.
func (b *bazaar) changes(from, to string) []report.Change {
	b.t.Helper()
	news, err := b.shop.News().News(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return slices.DeleteFunc(news.Changes, func(c report.Change) bool { return c.Service != from || c.Name != to })
}

// states returns the states that changes led to.
func states(changes []report.Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.To)
	}
	return strings.Join(all, " ")
}

// writePolicies returns a folder with the policies of one service.
func writePolicies(t *testing.T, service, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, service+".yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
