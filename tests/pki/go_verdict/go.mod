// The version decides which of the older, laxer rules Go keeps: it is that of Kubernetes 1.37.
module kubecustody.test/goverdict

go 1.26.0
