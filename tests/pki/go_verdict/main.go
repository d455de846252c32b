// Command goverdict says of each certificate on standard input what a kube-apiserver would make of it: Go's
// own x509.Verify with client authentication, and then the common name. The questions are a JSON list.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log"
	"os"
	"time"
)

type question struct {
	Leaf          string
	Intermediates string
	Roots         string
	Now           int64
}

type answer struct {
	Verdict string // accepted, anonymous, refused, unreadable
	Detail  string
}

func pool(text string) *x509.CertPool {
	found := x509.NewCertPool()
	found.AppendCertsFromPEM([]byte(text))
	return found
}

func judge(q question) answer {
	block, _ := pem.Decode([]byte(q.Leaf))
	if block == nil {
		return answer{"unreadable", "no PEM"}
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return answer{"unreadable", err.Error()}
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots:         pool(q.Roots),
		Intermediates: pool(q.Intermediates),
		CurrentTime:   time.Unix(q.Now, 0),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return answer{"refused", err.Error()}
	}
	if leaf.Subject.CommonName == "" {
		return answer{"anonymous", ""}
	}
	return answer{"accepted", leaf.Subject.CommonName}
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		log.Fatal(err)
	}
	answers := make([]answer, 0, len(questions))
	for _, q := range questions {
		answers = append(answers, judge(q))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}
