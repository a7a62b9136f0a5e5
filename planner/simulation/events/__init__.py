"""What happens to requests whose fates are joined by state: the event phase."""
