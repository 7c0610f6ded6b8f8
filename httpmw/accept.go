// SPDX-License-Identifier: Apache-2.0

package httpmw

import "strings"

// form is how an error is told to a client.
type form int

const (
	formJSON form = iota
	formHTML
	formText
)

// An Accept header is the peer's: what goes beyond these is not looked at.
const (
	maxAcceptBytes  = 4096
	maxAcceptRanges = 64
)

// offer is one form, and how much the client wants it.
type offer struct {
	match func(typ, subtype string) bool
	// specificity of the range that q comes from: 0 none, 1 */*, 2 type/*, 3 exact.
	specificity int
	q           int // in thousandths
}

// negotiate picks the form for the values of an Accept header (RFC 9110, section
// 12.5.1). Ties go to JSON, then HTML. A client that says nothing gets JSON; one
// that takes none of the three gets text, which everybody can read.
func negotiate(accept []string) form {
	offers := [...]offer{
		formJSON: {match: isJSON},
		formHTML: {match: isText("html")},
		formText: {match: isText("plain")},
	}
	ranges, left := 0, maxAcceptBytes
	for _, line := range accept {
		line = line[:min(len(line), left)]
		left -= len(line)
		for r := range strings.SplitSeq(line, ",") {
			typ, subtype, q, ok := mediaRange(r)
			if !ok {
				continue
			}
			if ranges++; ranges > maxAcceptRanges {
				break
			}
			for i := range offers {
				offers[i].weigh(typ, subtype, q)
			}
		}
	}
	if ranges == 0 {
		return formJSON
	}
	best := formText
	for _, f := range []form{formHTML, formJSON} {
		if offers[f].q >= offers[best].q && offers[f].q > 0 {
			best = f
		}
	}
	return best
}

// weigh takes one range into account; the most specific one that matches counts.
func (o *offer) weigh(typ, subtype string, q int) {
	specificity := 0
	switch {
	case typ == "*" && subtype == "*":
		specificity = 1
	case subtype == "*" && (o.match(typ, "json") || o.match(typ, "html") || o.match(typ, "plain")):
		specificity = 2
	case o.match(typ, subtype):
		specificity = 3
	default:
		return
	}
	if specificity > o.specificity {
		o.specificity, o.q = specificity, q
	} else if specificity == o.specificity {
		o.q = max(o.q, q)
	}
}

// isJSON takes every JSON for the client's own kind of it.
func isJSON(typ, subtype string) bool {
	return strings.EqualFold(typ, "application") &&
		(strings.EqualFold(subtype, "json") || strings.HasSuffix(strings.ToLower(subtype), "+json"))
}

func isText(want string) func(typ, subtype string) bool {
	return func(typ, subtype string) bool {
		return strings.EqualFold(typ, "text") && strings.EqualFold(subtype, want)
	}
}

// mediaRange splits one element of an Accept header; it is not ok if malformed.
func mediaRange(s string) (typ, subtype string, q int, ok bool) {
	s, params, _ := strings.Cut(s, ";")
	typ, subtype, ok = strings.Cut(strings.TrimSpace(s), "/")
	if !ok || typ == "" || subtype == "" || typ == "*" && subtype != "*" {
		return "", "", 0, false
	}
	q = 1000
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(k, "q") {
			q, ok = quality(v)
		}
	}
	return typ, subtype, q, ok
}

// quality parses a qvalue into thousandths: 0 to 1 with at most three decimals.
func quality(s string) (int, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(frac) > 3 {
		return 0, false
	}
	q := int(whole[0]-'0') * 1000
	for i, unit := 0, 100; i < len(frac); i, unit = i+1, unit/10 {
		if frac[i] < '0' || frac[i] > '9' {
			return 0, false
		}
		q += int(frac[i]-'0') * unit
	}
	return q, q <= 1000
}
