// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Defaults of [Handler].
const (
	// DefaultMaxScrapes is how many scrapes run at a time.
	DefaultMaxScrapes = 4
	// DefaultScrapeTimeout is how long a scrape may take; it is below the ten
	// seconds after which Prometheus gives up.
	DefaultScrapeTimeout = 9 * time.Second
)

// HandlerOption configures a [Handler].
type HandlerOption interface{ applyHandler(*handlerConfig) }

type handlerOptionFunc func(*handlerConfig)

func (f handlerOptionFunc) applyHandler(c *handlerConfig) { f(c) }

type handlerConfig struct {
	maxScrapes int
	timeout    time.Duration
	logger     *slog.Logger
}

// WithMaxScrapes sets how many scrapes run at a time; more are answered 503. The
// default is [DefaultMaxScrapes]; below 1 means that.
func WithMaxScrapes(n int) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.maxScrapes = n })
}

// WithScrapeTimeout sets how long a scrape may take before it is answered 503. The
// default is [DefaultScrapeTimeout]; zero or less means that: there is no scrape
// without a limit.
func WithScrapeTimeout(d time.Duration) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.timeout = d })
}

// WithScrapeLogger sets where errors of scrapes go. The default is slog.Default at
// the time of the error.
func WithScrapeLogger(l *slog.Logger) HandlerOption {
	return handlerOptionFunc(func(c *handlerConfig) { c.logger = l })
}

// Handler serves what g gathers to Prometheus, in the format the scraper asks for:
// OpenMetrics, which alone of the text formats shows exemplars, protobuf, which
// alone shows native histograms, or the classic text.
//
// A scrape that fails is answered 500; why it failed goes to the log and not to
// the peer. If g is a registerer too, as a *prometheus.Registry is, scrapes are
// counted there under client_golang's names promhttp_metric_handler_*; it panics
// if those names are taken by something else. Only GET and HEAD are answered.
func Handler(g prometheus.Gatherer, opts ...HandlerOption) http.Handler {
	if g == nil {
		panic("metrics: Handler: nil gatherer")
	}
	c := handlerConfig{}
	for _, o := range opts {
		o.applyHandler(&c)
	}
	if c.maxScrapes < 1 {
		c.maxScrapes = DefaultMaxScrapes
	}
	if c.timeout <= 0 {
		c.timeout = DefaultScrapeTimeout
	}
	reg, _ := g.(prometheus.Registerer)
	popts := promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		ErrorHandling:       promhttp.HTTPErrorOnError,
		ErrorLog:            scrapeLog{c.logger},
		MaxRequestsInFlight: c.maxScrapes,
		Timeout:             c.timeout,
	}
	if reg != nil {
		popts.Registry = reg
	}
	h := promhttp.HandlerFor(prometheus.GathererFunc(discreet(g.Gather, scrapeLog{c.logger})), popts)
	if reg != nil {
		h = promhttp.InstrumentMetricHandler(reg, h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		// Label values are peers' text: no browser may take the answer for a page.
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

// errGather is all that a peer learns of a failed scrape.
var errGather = errors.New("gathering failed, see the log")

// discreet returns gather with its errors, which may hold label values and panics,
// kept away from the peer.
func discreet[T any](gather func() (T, error), l scrapeLog) func() (T, error) {
	return func() (families T, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
			if err != nil {
				l.log("error", err)
				var none T
				families, err = none, errGather
			}
		}()
		return gather()
	}
}

// scrapeLog is the logger that promhttp takes.
type scrapeLog struct{ logger *slog.Logger }

// Println implements promhttp.Logger.
func (l scrapeLog) Println(v ...any) {
	if len(v) > 0 {
		if err, ok := v[len(v)-1].(error); ok && errors.Is(err, errGather) {
			return // discreet logged the cause
		}
	}
	l.log("detail", fmt.Sprint(v...))
}

func (l scrapeLog) log(key string, value any) {
	logger := l.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Error("metrics: scrape failed", key, value)
}
