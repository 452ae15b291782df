"""How every page looks: languages, figures, accessibility and weight."""
