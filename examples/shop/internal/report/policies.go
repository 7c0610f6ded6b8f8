// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/fairlead-go/fairlead/resilience/retry"
)

// Policies is what the policies of services did, by their metrics.
type Policies struct {
	Clients []Client
	Servers []Server
}

// Client is what the policies of one service did to its calls to another.
type Client struct {
	From, To string
	// Calls were made, and that many attempts Sent. There are more than Calls by
	// Retries and Hedges, Saved of which succeeded, and fewer by those Refused.
	Calls, Sent, Retries, Hedges, Saved int
	// Refused counts attempts that were not sent, by the policy that refused.
	Refused map[string]int
	// GivenUp counts calls that failed in a way that would be worth another
	// attempt, by why there was none.
	GivenUp map[string]int
	// Budget is how many retries and hedges could be paid for now; negative if
	// there is no budget.
	Budget float64
	// Breaker is the state of the breaker, empty if there is none, and Trips how
	// often it opened.
	Breaker string
	Trips   int
}

// Server is what the policies of one service did to the requests it received.
type Server struct {
	Service string
	// Received counts all requests but those for health.
	Received int
	// Refused counts those that were not handled, by the policy that refused.
	Refused map[string]int
}

// Metrics is where the metrics of one service are.
type Metrics struct {
	Service string
	URL     string
}

// ReadPolicies reads what the policies did from the metrics of services, of which there
// may be several instances.
func ReadPolicies(ctx context.Context, client *http.Client, services ...Metrics) (Policies, error) {
	var p Policies
	var errs []error
	for _, s := range services {
		families, err := scrape(ctx, client, s.URL)
		if err != nil {
			errs = append(errs, fmt.Errorf("report: metrics of %s: %w", s.Service, err))
			continue
		}
		p.add(s.Service, families)
	}
	return p, errors.Join(errs...)
}

func scrape(ctx context.Context, client *http.Client, url string) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(io.LimitReader(resp.Body, maxTraceBytes))
}

// add adds what the metrics of a service say.
func (p *Policies) add(service string, families map[string]*dto.MetricFamily) {
	server := Server{Service: service, Refused: make(map[string]int)}
	clients := make(map[string]*Client)
	client := func(name string) *Client {
		if clients[name] == nil {
			clients[name] = &Client{From: service, To: name, Budget: -1, Refused: make(map[string]int), GivenUp: make(map[string]int)}
		}
		return clients[name]
	}
	for _, name := range []string{"http_client_request_duration_seconds", "rpc_client_call_duration_seconds"} {
		for s := range series(families, name) {
			client(s.label("server_address")).Calls += s.count()
		}
	}
	for _, name := range []string{"http_client_attempt_duration_seconds", "rpc_client_attempt_duration_seconds"} {
		for s := range series(families, name) {
			client(s.label("server_address")).Sent += s.count()
		}
	}
	for s := range series(families, "fairlead_attempts_total") {
		client(s.label("name")).attempted(s)
	}
	for s := range series(families, "fairlead_calls_not_retried_total") {
		if reason := s.label("reason"); reason != retry.ReasonNotRetryable {
			client(s.label("name")).GivenUp[reason] += s.count()
		}
	}
	for s := range series(families, "fairlead_policy_rejections_total") {
		refused := server.Refused
		if name := s.label("name"); name != service {
			refused = client(name).Refused
		}
		refused[s.label("policy")] += s.count()
	}
	for s := range series(families, "fairlead_breaker_transitions_total") {
		if s.label("to") == "open" {
			client(s.label("name")).Trips += s.count()
		}
	}
	for s := range series(families, "fairlead_breaker_state") {
		if s.value > 0 {
			client(s.label("name")).Breaker = s.label("state")
		}
	}
	for s := range series(families, "fairlead_retry_budget_remaining") {
		client(s.label("name")).Budget = s.value
	}
	for _, name := range []string{"http_server_request_duration_seconds", "rpc_server_call_duration_seconds"} {
		for s := range series(families, name) {
			if !slices.Contains(healthRoutes, s.label("http_route")) {
				server.Received += s.count()
			}
		}
	}
	one := Policies{Servers: []Server{server}}
	for _, name := range slices.Sorted(maps.Keys(clients)) {
		one.Clients = append(one.Clients, *clients[name])
	}
	p.Add(one)
}

// Add adds what the policies of others did, such as those of another instance of a
// service that is in p already.
func (p *Policies) Add(others Policies) {
	for _, o := range others.Clients {
		i := slices.IndexFunc(p.Clients, func(c Client) bool { return c.From == o.From && c.To == o.To })
		if i < 0 {
			o.Refused, o.GivenUp = maps.Clone(o.Refused), maps.Clone(o.GivenUp)
			p.Clients = append(p.Clients, o)
			continue
		}
		p.Clients[i].add(o)
	}
	for _, o := range others.Servers {
		i := slices.IndexFunc(p.Servers, func(s Server) bool { return s.Service == o.Service })
		if i < 0 {
			o.Refused = maps.Clone(o.Refused)
			p.Servers = append(p.Servers, o)
			continue
		}
		p.Servers[i].Received += o.Received
		addCounts(p.Servers[i].Refused, o.Refused)
	}
}

// add adds what another instance did. Each has a budget and a breaker of its own.
func (c *Client) add(o Client) {
	c.Calls, c.Sent, c.Retries, c.Hedges, c.Saved = c.Calls+o.Calls, c.Sent+o.Sent, c.Retries+o.Retries, c.Hedges+o.Hedges, c.Saved+o.Saved
	addCounts(c.Refused, o.Refused)
	addCounts(c.GivenUp, o.GivenUp)
	c.Trips += o.Trips
	switch {
	case c.Budget < 0:
		c.Budget = o.Budget
	case o.Budget > 0:
		c.Budget += o.Budget
	}
	if o.Breaker != "" && c.Breaker != o.Breaker {
		c.Breaker = strings.TrimPrefix(c.Breaker+", "+o.Breaker, ", ")
	}
}

func addCounts(to, from map[string]int) {
	for name, n := range from {
		to[name] += n
	}
}

// healthRoutes are the routes of those who ask how a service is.
var healthRoutes = []string{"/livez", "/readyz", "/healthz"}

// attempted adds a series of fairlead_attempts_total.
func (c *Client) attempted(s sample) {
	outcome := s.label("outcome")
	if s.label("attempt") == "first" || outcome == "rejected" { // before it was sent
		return
	}
	if s.label("policy") == "hedge" {
		c.Hedges += s.count()
	} else {
		c.Retries += s.count()
	}
	if outcome == "ok" {
		c.Saved += s.count()
	}
}

// sample is one series with its value, of a histogram the count.
type sample struct {
	labels map[string]string
	value  float64
}

func (s sample) label(name string) string { return s.labels[name] }

func (s sample) count() int { return int(s.value) }

// series yields the series of a metric.
func series(families map[string]*dto.MetricFamily, name string) func(yield func(sample) bool) {
	return func(yield func(sample) bool) {
		for _, m := range families[name].GetMetric() {
			s := sample{labels: make(map[string]string)}
			for _, l := range m.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			switch {
			case m.GetHistogram() != nil:
				s.value = float64(m.GetHistogram().GetSampleCount())
			default:
				s.value = cmp.Or(m.GetCounter().GetValue(), m.GetGauge().GetValue(), m.GetUntyped().GetValue())
			}
			if !yield(s) {
				return
			}
		}
	}
}

// Client returns what was done to the calls of a service to another.
func (p Policies) Client(from, to string) Client {
	for _, c := range p.Clients {
		if c.From == from && c.To == to {
			return c
		}
	}
	return Client{From: from, To: to, Budget: -1}
}

// Server returns what was done to the requests that a service received.
func (p Policies) Server(service string) Server {
	for _, s := range p.Servers {
		if s.Service == service {
			return s
		}
	}
	return Server{Service: service}
}

// Amplification returns how many requests a service received for each call that
// another one made to it: 1 without any policy, more by retries, less by refusals.
// It is 0 if there was no call.
func (p Policies) Amplification(from, to string) float64 {
	calls := p.Client(from, to).Calls
	if calls == 0 {
		return 0
	}
	return float64(p.Server(to).Received) / float64(calls)
}
