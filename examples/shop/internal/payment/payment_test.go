// SPDX-License-Identifier: Apache-2.0

package payment_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
	"github.com/fairlead-go/fairlead/httpmw"
)

// outbox remembers what was published.
type outbox struct {
	mu       sync.Mutex
	messages []any
	err      error
	before   func() // called before a message is published
}

func (o *outbox) Publish(ctx context.Context, topic string, message any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.before != nil {
		o.before()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.err == nil && topic == payment.TopicReceipts {
		o.messages = append(o.messages, message)
	}
	return o.err
}

func newLedger(t *testing.T) *payment.Ledger {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "payment.db"), payment.Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return payment.NewLedger(db)
}

func serve(t *testing.T, box *outbox, fault chaos.Fault) *payment.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("POST /charges", payment.NewHandler(newLedger(t), box, fault, slog.New(slog.DiscardHandler)))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return payment.NewClient(srv.Client(), srv.URL)
}

func charge(order, card string) payment.Charge {
	return payment.Charge{OrderID: order, Customer: "ada", AmountCents: 1800, Card: card}
}

func TestChargeOnce(t *testing.T) {
	var box outbox
	client := serve(t, &box, chaos.Fault{})
	first, err := client.Charge(t.Context(), charge("o1", payment.CardOK))
	if err != nil {
		t.Fatal(err)
	}
	want := payment.Receipt{ID: first.ID, OrderID: "o1", Customer: "ada", AmountCents: 1800}
	if diff := cmp.Diff(want, first); diff != "" || first.ID == "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	again, err := client.Charge(t.Context(), charge("o1", payment.CardOK))
	if err != nil || again != first {
		t.Errorf("second charge = %v, %v; want the first receipt %v", again, err, first)
	}
	if diff := cmp.Diff([]any{first}, box.messages); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}

func TestChargeFails(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fault  chaos.Fault
		charge payment.Charge
		want   error
		text   string
	}{
		{name: "declined", charge: charge("o1", payment.CardDeclined), want: payment.ErrDeclined},
		{name: "down", fault: chaos.Fault{FailRate: 1}, charge: charge("o1", payment.CardOK), text: "answered 503"},
		{name: "no order", charge: charge("", payment.CardOK), text: "order_id must be set"},
		{name: "no card", charge: charge("o1", ""), text: "card must be set"},
		{name: "no money", charge: payment.Charge{OrderID: "o1", Card: "x"}, text: "amount_cents must be positive"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var box outbox
			_, err := serve(t, &box, tc.fault).Charge(t.Context(), tc.charge)
			if err == nil || (tc.want != nil && !errors.Is(err, tc.want)) || !strings.Contains(textOf(err), tc.text) {
				t.Errorf("Charge = %v, want %v %s", err, tc.want, tc.text)
			}
			if len(box.messages) != 0 {
				t.Errorf("published %v for a charge that failed", box.messages)
			}
		})
	}
}

// textOf returns an error with what the service said about it.
func textOf(err error) string {
	if e, ok := errors.AsType[*httpmw.StatusError](err); ok {
		return e.Error() + ": " + e.Problem.Detail
	}
	return err.Error()
}

func TestNoService(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	client := payment.NewClient(srv.Client(), srv.URL)
	srv.Close()
	_, err := client.Charge(t.Context(), charge("o1", payment.CardOK))
	if _, answered := errors.AsType[*httpmw.StatusError](err); err == nil || answered {
		t.Errorf("Charge = %v, want an error that is no answer", err)
	}
}

func TestSlowBankMeetsDeadline(t *testing.T) {
	client := serve(t, &outbox{}, chaos.Fault{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := client.Charge(ctx, charge("o1", payment.CardSlow))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Charge = %v, want DeadlineExceeded", err)
	}
}

func TestSlowBankGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h := payment.NewHandler(nil, nil, chaos.Fault{}, slog.New(slog.DiscardHandler))
		w, start := httptest.NewRecorder(), time.Now()
		h.ServeHTTP(w, post(ctx, "o1", `{"order_id":"o1","amount_cents":1,"card":"tok_slow"}`))
		if w.Code != http.StatusGatewayTimeout {
			t.Errorf("status %d, want 504", w.Code)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("gave up after %v, want 1s", took)
		}
	})
}

func TestLostReceiptKeepsCharge(t *testing.T) {
	box := outbox{err: errors.New("queue is full")}
	if _, err := serve(t, &box, chaos.Fault{}).Charge(t.Context(), charge("o1", payment.CardOK)); err != nil {
		t.Errorf("Charge = %v, want it to stand", err)
	}
}

func TestReceiptOutlivesCaller(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	box := outbox{before: leave}
	h := payment.NewHandler(newLedger(t), &box, chaos.Fault{}, slog.New(slog.DiscardHandler))
	h.ServeHTTP(httptest.NewRecorder(), post(ctx, "o1", `{"order_id":"o1","amount_cents":1,"card":"tok_ok"}`))
	if len(box.messages) != 1 {
		t.Errorf("%d receipts for a charge whose caller left, want 1", len(box.messages))
	}
}

// post is a request for a charge as it arrives.
func post(ctx context.Context, key, body string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/charges", strings.NewReader(body))
	if key != "" {
		r.Header.Set(payment.HeaderIdempotencyKey, key)
	}
	return r
}

func TestNoCharge(t *testing.T) {
	h := payment.NewHandler(nil, nil, chaos.Fault{}, slog.New(slog.DiscardHandler))
	for name, r := range map[string]*http.Request{
		"no JSON":  post(t.Context(), "o1", "{"),
		"no key":   post(t.Context(), "", `{"order_id":"o1","amount_cents":1,"card":"x"}`),
		"long key": post(t.Context(), strings.Repeat("k", 256), `{"order_id":"o1","amount_cents":1,"card":"x"}`),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", name, w.Code)
		}
	}
}

func TestKeysAndOrders(t *testing.T) {
	ledger := newLedger(t)
	first := payment.Charge{OrderID: "o1", Customer: "ada", AmountCents: 1800}
	more := first
	more.AmountCents++
	for _, tc := range []struct {
		name, key string
		charge    payment.Charge
		want      error
	}{
		{"first", "k1", first, nil},
		{"again", "k1", first, nil},
		{"another amount", "k1", more, payment.ErrKeyReused},
		{"another order", "k1", payment.Charge{OrderID: "o2", Customer: "ada", AmountCents: 1800}, payment.ErrKeyReused},
		{"another key", "k2", first, payment.ErrOrderCharged},
	} {
		if _, _, err := ledger.Enter(t.Context(), tc.key, tc.charge); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestAnswerLostAfterCharge(t *testing.T) {
	var box outbox
	client := serve(t, &box, chaos.Fault{LoseRate: 1})
	for range 2 {
		_, err := client.Charge(t.Context(), charge("o1", payment.CardOK))
		if e, ok := errors.AsType[*httpmw.StatusError](err); !ok || e.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("Charge = %v, want 503", err)
		}
	}
	if len(box.messages) != 1 {
		t.Errorf("%d receipts, want that of one charge", len(box.messages))
	}
}

func TestRetryAfter(t *testing.T) {
	for d, want := range map[time.Duration]string{20 * time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2"} {
		synctest.Test(t, func(t *testing.T) {
			fault := chaos.Fault{Away: chaos.Away{For: d, Fraction: 1}}
			h := payment.NewHandler(nil, nil, fault, slog.New(slog.DiscardHandler))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, post(t.Context(), "o1", `{"order_id":"o1","amount_cents":1,"card":"x"}`))
			if got := w.Header().Get("Retry-After"); w.Code != http.StatusServiceUnavailable || got != want {
				t.Errorf("%v: status %d, Retry-After %q; want 503, %q", d, w.Code, got, want)
			}
		})
	}
}
