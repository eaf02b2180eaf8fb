"""Mixture-of-experts layers: what their structure lacks."""
