// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
)

// HTTPOption changes a check by [HTTP].
type HTTPOption interface{ applyHTTP(*httpCheck) }

type httpOption func(*httpCheck)

func (o httpOption) applyHTTP(c *httpCheck) { o(c) }

type httpCheck struct {
	client *http.Client
	url    *url.URL
	method string
	status []int
}

// WithStatus sets which status codes pass. The default is 200 to 299.
func WithStatus(codes ...int) HTTPOption {
	return httpOption(func(c *httpCheck) { c.status = codes })
}

// WithMethod sets the method. The default is GET.
func WithMethod(method string) HTTPOption {
	return httpOption(func(c *httpCheck) { c.method = method })
}

// maxDrain is how much of a body is read so that its connection can be used again.
const maxDrain = 64 << 10

// HTTP returns a check that asks for a URL with a client of the caller's: with the TLS,
// the proxies and the redirects of the client that requests are made with. It fails on
// a client that is nil and a URL that is none.
func HTTP(client *http.Client, rawURL string, opts ...HTTPOption) (Check, error) {
	c := &httpCheck{client: client, method: http.MethodGet}
	for _, o := range opts {
		o.applyHTTP(c)
	}
	var errs []error
	if client == nil {
		errs = append(errs, errors.New("nil client: give it one of your own, the default one has no limits"))
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		errs = append(errs, errors.New("the URL cannot be parsed")) // it may have a password in it
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		errs = append(errs, fmt.Errorf("URL %q: must begin with http:// or https:// and a host", u.Redacted()))
	}
	c.url = u
	for _, code := range c.status {
		if code < 200 || code > 599 {
			errs = append(errs, fmt.Errorf("WithStatus: is %d and must be 200 to 599", code))
		}
	}
	if _, err := http.NewRequestWithContext(context.Background(), c.method, "http://h/", nil); err != nil {
		errs = append(errs, fmt.Errorf("WithMethod: is %q and must be a method", c.method))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("health: HTTP: %w", err)
	}
	return c.check, nil
}

func (c *httpCheck) check(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url.String(), nil)
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain) // the status is what counts
	_ = resp.Body.Close()
	if len(c.status) == 0 && resp.StatusCode/100 == 2 || slices.Contains(c.status, resp.StatusCode) {
		return nil
	}
	return fmt.Errorf("health: %s %s: status %d", c.method, c.url.Redacted(), resp.StatusCode)
}
